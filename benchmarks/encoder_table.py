"""The table behind media.video.encoder's x264 options: size, SSIM, CPU and delay of each candidate.

Candidates are compared at equal SSIM: each codes every clip at two rate factors, and its size is read off
between them where its SSIM is the one that the options in use reach at CRF 33. Run: python -m
benchmarks.encoder_table (about three minutes; needs PyPI once for the clips).
"""

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import av
import numpy as np
from av.video.stream import VideoStream

from benchmarks.clips import FPS, KEYFRAME_INTERVAL, Clip, clips
from media.video.encoder import PRESET, VIDEO_TIMESCALE, X264_PARAMETERS, video_context
from media.video.scaler import Samples, planes
from recorder.kernel.media import Canvas
from tests.support.similarity import ssim

CANVAS = Canvas()
CRF = 33
CRFS_AROUND = (30, 36)
BITRATE_MAX = 2_500_000
COMPARED_INTERVAL = 10  # of 25 a second: SSIM in numpy costs more than coding


@dataclass(frozen=True)
class Candidate:
    """The options in use, but for these."""

    name: str
    preset: str = PRESET
    changes: dict[str, str] = field(default_factory=dict)


LOOKAHEAD = {"rc-lookahead": "10", "mbtree": "1", "qcomp": "0.6"}  # with qcomp 1 mbtree would do nothing
CANDIDATES = [
    Candidate("in use"),
    Candidate("ultrafast", preset="ultrafast"),
    Candidate("superfast", preset="superfast"),
    Candidate("superfast, subme 2", preset="superfast", changes={"subme": "2"}),
    Candidate("faster", preset="faster"),
    Candidate("medium", preset="medium"),
    Candidate("qcomp 0.6 (x264's own)", changes={"qcomp": "0.6"}),
    Candidate("qcomp 0.8", changes={"qcomp": "0.8"}),
    Candidate("aq-mode 0", changes={"aq-mode": "0"}),
    Candidate("aq-mode 1 (x264's own)", changes={"aq-mode": "1"}),
    Candidate("aq-mode 3", changes={"aq-mode": "3"}),
    Candidate("deblock -2 (as for stills)", changes={"deblock": "-2,-2"}),
    Candidate("trellis 1", changes={"trellis": "1"}),
    Candidate("3 references", changes={"ref": "3"}),
    Candidate("no CABAC", changes={"cabac": "0"}),
    Candidate("1 B-frame", changes={"bframes": "1"}),
    Candidate("2 B-frames", changes={"bframes": "2"}),
    Candidate("look-ahead 10, mbtree", changes=LOOKAHEAD),
    Candidate("look-ahead 10, mbtree, 3 B-frames", changes={**LOOKAHEAD, "bframes": "3"}),
    Candidate("2 slices in 2 threads", changes={"threads": "2", "sliced-threads": "1"}),
    Candidate("constant frame rate", changes={"force-cfr": "1"}),
]


class Result(NamedTuple):
    """Of one clip: kilobytes, mean luma SSIM, milliseconds of CPU a picture, pictures held back at most."""

    kilobytes: float
    ssim: float
    milliseconds: float
    delay: int


def measure(candidate: Candidate, clip: Clip, crf: int) -> Result:
    """Code the clip, decode it again and compare."""
    parameters = {**X264_PARAMETERS, **candidate.changes}
    encoder = video_context(
        CANVAS, crf=crf, bitrate_max=BITRATE_MAX, preset=candidate.preset, parameters=parameters
    )
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = encoder.extradata
    sent: dict[int, Samples] = {}
    similarities: list[float] = []
    packets: list[av.Packet[VideoStream]] = []
    cpu_s, taken, delay, compared_next = 0.0, 0, 0, 0
    for number, picture in clip():
        if number >= compared_next:
            sent[number], compared_next = planes(picture).y.copy(), number + COMPARED_INTERVAL
        picture.pts, picture.time_base = number * VIDEO_TIMESCALE // FPS, encoder.time_base
        picture.pict_type = 1 if number % KEYFRAME_INTERVAL == 0 else 0
        before = time.process_time()
        packets += encoder.encode(picture)
        cpu_s += time.process_time() - before
        taken += 1
        delay = max(delay, taken - len(packets))
    before = time.process_time()
    packets += encoder.encode(None)
    cpu_s += time.process_time() - before
    for packet in (*packets, None):
        for decoded in decoder.decode(packet):
            original = sent.pop((decoded.pts or 0) * FPS // VIDEO_TIMESCALE, None)
            if original is not None:
                similarities.append(ssim(original, planes(decoded).y))
    size = sum(packet.size for packet in packets)
    return Result(size / 1000, float(np.mean(similarities)), 1000 * cpu_s / taken, delay)


def size_at(similarity: float, results: list[Result]) -> float:
    """Kilobytes at this SSIM, on a line through (dB of dissimilarity, log size) of two results."""
    (x0, y0), (x1, y1) = ((_decibels(result.ssim), math.log(result.kilobytes)) for result in results)
    return math.exp(y0 + (y1 - y0) * (_decibels(similarity) - x0) / (x1 - x0))


def _decibels(similarity: float) -> float:
    return -10 * math.log10(1 - similarity)


def main() -> None:
    sources = clips(CANVAS)
    chosen = {name: measure(CANDIDATES[0], clip, CRF) for name, clip in sources.items()}
    print(f"In use, CRF {CRF}: kB in 10 s, SSIM, ms of CPU a picture\n")
    for name, result in chosen.items():
        print(f"- {name}: {result.kilobytes:.0f} kB, {result.ssim:.4f}, {result.milliseconds:.1f} ms")
    print("\n| options | " + " | ".join(f"{name}: size, CPU" for name in sources) + " | delay |")
    print("|---|" + "---|" * len(sources) + "---|")
    for candidate in CANDIDATES:
        cells, delay = [], 0
        for name, clip in sources.items():
            results = [measure(candidate, clip, crf) for crf in CRFS_AROUND]
            size = size_at(chosen[name].ssim, results) / chosen[name].kilobytes
            cpu = sum(result.milliseconds for result in results) / 2
            cells.append(f"{size - 1:+.0%}, {cpu:.1f} ms")
            delay = max(delay, *(result.delay for result in results))
        print(f"| {candidate.name} | " + " | ".join(cells) + f" | {delay} |", flush=True)


if __name__ == "__main__":
    main()
