"""A plain loop over the libraries inside PyAV: decode, filter, code, write. Run by benchmarks.floor.

Arguments: width, height and rate of the canvas, rate cap in bit/s, seconds, length of a batch in seconds (0:
as fast as it can), files with pictures, `--`, files with sound. Prints the CPU seconds that the work took;
starting Python is none of it.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, zip_longest
from typing import cast

import av
from av.filter import Graph
from av.filter.context import FilterContext

from benchmarks.floor import DEFAULTS, FRAGMENT_S, x264_options
from media.audio.encoder import AAC_CODER
from media.video.encoder import BT601
from recorder.kernel.media import Canvas


def compose(
    canvas: Canvas,
    bitrate_max: int,
    films: list[str],
    voices: list[str],
    output: str,
    *,
    seconds: int,
    batch_s: float = 0.0,
) -> None:
    """Make the recording; with `batch_s` in real time, so much of it at once."""
    with av.open(output, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        options = x264_options(bitrate_max)
        video = container.add_stream("libx264", rate=canvas.fps, options=options)
        video.width, video.height, video.pix_fmt = canvas.width, canvas.height, "yuv420p"
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT601
        audio = container.add_stream("aac", rate=48_000, options={"aac_coder": AAC_CODER})
        audio.layout, audio.bit_rate = "mono", DEFAULTS.audio_bitrate
        sounds = _mixed(voices)
        began, heard = time.monotonic(), 0
        for number, picture in enumerate(islice(_pictures(canvas, films), seconds * canvas.fps)):
            if batch_s and number % round(batch_s * canvas.fps) == 0:
                time.sleep(max(0.0, began + number / canvas.fps - time.monotonic()))
                while heard < number * 48_000 // canvas.fps:
                    sound = next(sounds)
                    heard += sound.samples
                    container.mux(audio.encode(sound))
            picture.pts, picture.time_base = number, Fraction(1, canvas.fps)
            picture.pict_type = 1 if number % (FRAGMENT_S * canvas.fps) == 0 else 0
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for sound in sounds:
            if heard >= seconds * 48_000:
                break
            heard += sound.samples
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _pictures(canvas: Canvas, films: list[str]) -> Iterator[av.VideoFrame]:
    graph = Graph()
    sources: list[FilterContext] = []
    beside = graph.add("hstack", f"inputs={len(films)}") if len(films) > 1 else graph.add("null")
    pad, sink = (
        graph.add("pad", f"{canvas.width}:{canvas.height}:(ow-iw)/2:(oh-ih)/2"),
        graph.add("buffersink"),
    )
    beside.link_to(pad)
    pad.link_to(sink)
    for pictures in zip(*(_decoded_pictures(film) for film in films), strict=True):
        if not sources:
            sources = [
                graph.add_buffer(
                    template=None,
                    width=picture.width,
                    height=picture.height,
                    format=picture.format,
                    time_base=picture.time_base,
                )
                for picture in pictures
            ]
            for index, source in enumerate(sources):
                source.link_to(beside, 0, index)
            graph.configure()
        for source, picture in zip(sources, pictures, strict=True):
            source.push(picture)
        yield cast(av.VideoFrame, sink.pull())


def _mixed(voices: list[str]) -> Iterator[av.AudioFrame]:
    graph = Graph()
    mix, form = graph.add("amix", f"inputs={len(voices)}"), graph.add("aformat", "channel_layouts=mono")
    sink = graph.add("abuffersink")
    mix.link_to(form)
    form.link_to(sink)
    sources: list[FilterContext] = []
    for index in range(len(voices)):
        source = graph.add_abuffer(
            sample_rate=48_000, format="fltp", layout="mono", time_base=Fraction(1, 48_000)
        )
        source.link_to(mix, 0, index)
        sources.append(source)
    graph.configure()
    for sounds in zip_longest(*(_decoded_sounds(voice) for voice in voices)):
        for source, sound in zip(sources, sounds, strict=True):
            source.push(sound)
        yield from _pulled(sink)


def _pulled(sink: FilterContext) -> Iterator[av.AudioFrame]:
    while True:
        try:
            sound = cast(av.AudioFrame, sink.pull())
        except (BlockingIOError, EOFError):
            return
        sound.pts = None
        yield sound


def _decoded_pictures(path: str) -> Iterator[av.VideoFrame]:
    with av.open(path, "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        yield from container.decode(video=0)


def _decoded_sounds(path: str) -> Iterator[av.AudioFrame]:
    with av.open(path, "r") as container:
        yield from container.decode(audio=0)


def main() -> None:
    width, height, fps, bitrate_max, seconds = (int(word) for word in sys.argv[1:6])
    batch_s, files = float(sys.argv[6]), sys.argv[7:]
    split = files.index("--")
    with tempfile.NamedTemporaryFile(suffix=".mp4") as output:
        canvas = Canvas(width=width, height=height, fps=fps)
        before_s = time.process_time()
        compose(
            canvas,
            bitrate_max,
            files[:split],
            files[split + 1 :],
            output.name,
            seconds=seconds,
            batch_s=batch_s,
        )
        print(time.process_time() - before_s)


if __name__ == "__main__":
    main()
