"""Real H.264 and AAC in real fragments, made without the engine: what tests of reading and checking read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from media.isobmff import (
    AudioTrack,
    FragmentPlace,
    Sample,
    Track,
    TrackRun,
    VideoTrack,
    decoder_configuration,
    finalise,
    init_segment,
    length_prefixed,
    media_fragment,
)

VIDEO_TIMESCALE = 90_000
AUDIO_RATE = 48_000
AAC_FRAME = 1024
RESERVED_BYTES = 4096

Picture = NDArray[np.uint8]  # rgb24: height x width x 3
Sound = NDArray[np.float32]  # mono, 48 kHz


@dataclass(frozen=True)
class Muxed:
    """A fragmented file in its pieces; `starts_us` are the fragments' times on the recording's clock."""

    tracks: list[Track]
    init: bytes
    fragments: list[bytes]
    starts_us: list[int]
    end_us: int

    @property
    def data(self) -> bytes:
        return self.init + b"".join(self.fragments)

    @property
    def finalised(self) -> bytes:
        return finalise(self.init, self.places) + b"".join(self.fragments)

    @property
    def places(self) -> list[FragmentPlace]:
        """The index of the fragments, as the spool keeps it."""
        offsets = accumulate(map(len, self.fragments), initial=len(self.init))
        spans = pairwise([*self.starts_us, self.end_us])
        return [
            FragmentPlace(offset, len(fragment), start_us, stop_us - start_us)
            for offset, fragment, (start_us, stop_us) in zip(offsets, self.fragments, spans, strict=False)
        ]


def encode_video(
    pictures: Iterable[Picture], *, fps: int = 25, gop: int = 50, b_frames: int = 0
) -> tuple[VideoTrack, list[Sample]]:
    """Code pictures of one size; every `gop` pictures one key frame.

    Decoding begins at time zero; pictures are shown as much later as B-frames need to be put in order.
    """
    coder: av.VideoCodecContext | None = None
    packets: list[av.Packet[av.VideoStream]] = []
    for number, picture in enumerate(pictures):
        if coder is None:
            coder = _video_coder(picture.shape[1], picture.shape[0], fps, gop, b_frames)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, fps)
        packets += coder.encode(frame)
    assert coder is not None
    packets += coder.encode(None)
    ticks = VIDEO_TIMESCALE // fps
    samples = [
        Sample(length_prefixed(bytes(p)), ticks, p.is_keyframe, ((p.pts or 0) - (p.dts or 0)) * ticks)
        for p in packets
    ]
    avcc = decoder_configuration(coder.extradata or b"")
    return VideoTrack(1, VIDEO_TIMESCALE, coder.width, coder.height, avcc), samples


def _video_coder(width: int, height: int, fps: int, gop: int, b_frames: int) -> av.VideoCodecContext:
    coder = av.VideoCodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, fps), Fraction(fps)
    coder.thread_count = 1
    coder.options = {
        "preset": "ultrafast",
        "crf": "23",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop=0",
    }
    coder.flags |= Flags.global_header
    return coder


def encode_audio(sound: Sound, *, track_id: int = 2) -> tuple[AudioTrack, list[Sample]]:
    """Code mono sound; the coder's priming packet is dropped, so sample 0 of `sound` is at time zero."""
    coder = av.AudioCodecContext.create("aac", "w")
    coder.sample_rate, coder.layout, coder.format = AUDIO_RATE, "mono", "fltp"
    coder.bit_rate = 64_000
    coder.time_base = Fraction(1, AUDIO_RATE)
    coder.flags |= Flags.global_header
    packets: list[av.Packet[av.AudioStream]] = []
    for start in range(0, len(sound) - AAC_FRAME + 1, AAC_FRAME):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + AAC_FRAME], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, start, coder.time_base
        packets += coder.encode(frame)
    packets += coder.encode(None)
    samples = [Sample(bytes(p), AAC_FRAME, True) for p in packets if (p.pts or 0) >= 0]
    return AudioTrack(track_id, AUDIO_RATE, 1, coder.extradata or b""), samples


def mux(
    video: tuple[VideoTrack, list[Sample]] | None,
    audio: tuple[AudioTrack, list[Sample]] | None,
    *,
    reserved_bytes: int = RESERVED_BYTES,
    audio_delay_s: float = 0.0,
    fragment_s: float = 2.0,
) -> Muxed:
    """Put coded samples into fragments that begin with a key frame, or last `fragment_s` without pictures."""
    cuts = _cuts(video[1]) if video else _even_cuts(audio[1] if audio else [], fragment_s)
    tracks: list[Track] = [coded[0] for coded in (video, audio) if coded]
    lanes = [
        _Lane(coded[0], coded[1], round(delay_s * coded[0].timescale))
        for coded, delay_s in ((video, 0.0), (audio, audio_delay_s))
        if coded
    ]
    fragments = []
    for number, (_, end) in enumerate(pairwise([*cuts, float("inf")]), start=1):
        runs = [run for lane in lanes for run in lane.until(end)]
        fragments.append(media_fragment(number, runs))
    init = init_segment(tracks, reserved_bytes=reserved_bytes)
    end_us = max(lane.at_us for lane in lanes)
    return Muxed(tracks, init, fragments, [round(cut * 1e6) for cut in cuts], end_us)


class _Lane:
    """One track's samples, taken off in pieces."""

    def __init__(self, track: Track, samples: list[Sample], start: int) -> None:
        self._track, self._samples, self._at, self._next = track, samples, start, 0

    @property
    def at_us(self) -> int:
        return self._at * 1_000_000 // self._track.timescale

    def until(self, end_s: float) -> Iterator[TrackRun]:
        start, first = self._at, self._next
        while self._next < len(self._samples) and self._at < end_s * self._track.timescale:
            self._at += self._samples[self._next].duration
            self._next += 1
        if self._next > first:
            yield TrackRun(self._track.track_id, start, self._samples[first : self._next])


def _cuts(samples: list[Sample]) -> list[float]:
    at, cuts = 0, []
    for sample in samples:
        if sample.keyframe:
            cuts.append(at / VIDEO_TIMESCALE)
        at += sample.duration
    return cuts


def _even_cuts(samples: list[Sample], fragment_s: float) -> list[float]:
    duration_s = sum(sample.duration for sample in samples) / AUDIO_RATE
    return [number * fragment_s for number in range(int(duration_s / fragment_s) + 1)]


def moving_pictures(count: int, *, width: int = 160, height: int = 120) -> Iterator[Picture]:
    """A bar that walks over a gradient: cheap to code, different in every picture."""
    base = np.linspace(30, 200, width, dtype=np.uint8)[None, :, None].repeat(height, 0).repeat(3, 2)
    for number in range(count):
        picture = base.copy()
        left = number * 4 % width
        picture[:, left : left + 8] = (235, 60, 60)
        yield picture


def tone(seconds: float, *, hertz: float = 440.0) -> Sound:
    """A quiet sine."""
    times = np.arange(round(seconds * AUDIO_RATE)) / AUDIO_RATE
    return (0.2 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def sample_file(seconds: float = 6.0, *, video: bool = True, audio: bool = True, b_frames: int = 0) -> Muxed:
    """A small, whole recording: a key frame and a fragment every second."""
    pictures = encode_video(moving_pictures(round(25 * seconds)), gop=25, b_frames=b_frames)
    return mux(pictures if video else None, encode_audio(tone(seconds)) if audio else None, fragment_s=1.0)
