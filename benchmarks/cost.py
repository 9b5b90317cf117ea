"""What recording costs: the worker beside the C pipeline, which does the same work in the same minutes.

Rounds of worker and C pipeline alternate, and medians are taken, because the machine is shared. One ratio is
to ffmpeg reading its files as fast as it can, one to the libraries of PyAV doing so, and two to either paced
like a call: ffmpeg by `-re`, the libraries a batch at a time, as the worker is. Who wakes finds cold
caches, in C too.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks import floor, streams
from benchmarks.similarity import similarity
from benchmarks.worker_cost import Cost, Scenario, record
from media.video.layout import Rectangle
from recorder.kernel.media import Canvas

ROUNDS = 3
SECONDS = 10.0
MINUTE_S = 60.0
TAG_HEIGHT = 40  # px at the bottom of a tile that its name may cover
RECORDING = "BYSTANDER_RECORDING__"


@dataclass(frozen=True)
class Case:
    """One row: what is recorded, what it may cost, and its C pipeline where it has one."""

    name: str
    scenario: Scenario
    task: floor.Task | None = None
    areas: tuple[Rectangle, ...] = ()
    cores_max: float | None = None
    ratio_max: float | None = None
    bytes_max: float | None = None  # in `over_s` seconds
    over_s: float = 10.0


def cases(directory: Path) -> list[Case]:
    """The rows of the published table."""
    two = tuple(streams.talking(directory, width=640, height=360, fps=25, bitrate=700_000))
    small = tuple(streams.talking(directory, width=320, height=240, fps=15, bitrate=250_000))
    still = streams.screen(directory, moving=False, fps=5, bitrate=2_500_000)
    moving = streams.screen(directory, moving=True, fps=25, bitrate=2_500_000)
    canvas, small_canvas, full_hd = (
        Canvas(),
        Canvas(width=640, height=480, fps=15),
        Canvas(width=1920, height=1080),
    )
    tiles = (Rectangle(0, 180, 640, 360 - TAG_HEIGHT), Rectangle(640, 180, 640, 360 - TAG_HEIGHT))
    small_tiles = (Rectangle(0, 120, 320, 240 - TAG_HEIGHT), Rectangle(320, 120, 320, 240 - TAG_HEIGHT))
    whole = (Rectangle(0, 0, 1920, 1080),)
    voices = tuple(replace(stream, pictures=None) for stream in two)
    return [
        Case(
            "two 640x360@25 on 1280x720",
            Scenario(two, 25, {}),
            floor.Task(two, canvas),
            tiles,
            ratio_max=1.25,
            bytes_max=4.2e6,
            over_s=60.0,
        ),
        Case(
            "two 320x240@15 on 640x480, 500 kbit/s",
            Scenario(small, 15, _settings(small_canvas) | {RECORDING + "VIDEO_BITRATE_MAX": "500000"}),
            floor.Task(small, small_canvas, 500_000),
            small_tiles,
            ratio_max=1.25,
        ),
        Case(
            "two voices, sound only",
            Scenario(voices, 25, {RECORDING + "TYPE": "AUDIO"}),
            cores_max=0.025,
            bytes_max=0.9e6,
            over_s=60.0,
        ),
        Case(
            "still 1920x1080 share with sound",
            Scenario((still,), 5, _settings(full_hd)),
            None,
            whole,
            cores_max=0.05,
            bytes_max=0.3e6,
        ),
        Case(
            "moving 1920x1080 share with sound",
            Scenario((moving,), 25, _settings(full_hd)),
            None,
            whole,
            bytes_max=1e6,
        ),
    ]


def _settings(canvas: Canvas) -> dict[str, str]:
    return {
        RECORDING + "WIDTH": str(canvas.width),
        RECORDING + "HEIGHT": str(canvas.height),
        RECORDING + "FPS": str(canvas.fps),
    }


async def measure() -> dict[str, float]:
    """Print the table; return the figures that are held to the committed ones."""
    with tempfile.TemporaryDirectory() as directory:
        rows = cases(Path(directory))
        costs: dict[str, list[Cost]] = {case.name: [] for case in rows}
        floors: dict[str, list[tuple[float, ...]]] = {case.name: [] for case in rows}
        seen: dict[str, float] = {}
        for number in range(ROUNDS):
            for case in rows:
                costs[case.name].append(await _recorded(case, seen if number == 0 else None))
                if case.task is not None:
                    floors[case.name].append(await asyncio.to_thread(_floors, case.task))
    figures: dict[str, float] = {}
    for case in rows:
        figures |= _row(case, costs[case.name], floors[case.name], seen.get(case.name))
    return figures


async def _recorded(case: Case, seen: dict[str, float] | None) -> Cost:
    look: Callable[[Path], None] | None = None
    if seen is not None and case.areas:
        sent = [
            (stream.pictures, area)
            for stream, area in zip(case.scenario.streams, case.areas, strict=True)
            if stream.pictures is not None
        ]

        def compared(path: Path) -> None:
            seen[case.name] = similarity(path, sent)

        look = compared
    return await record(case.scenario, seconds=SECONDS, look=look)


def _floors(task: floor.Task) -> tuple[float, ...]:
    return (
        floor.ffmpeg(task),
        floor.libraries(task),
        floor.ffmpeg(task, paced=True),
        floor.libraries(task, paced=True),
    )


def _row(
    case: Case, costs: list[Cost], floors: list[tuple[float, ...]], ssim: float | None
) -> dict[str, float]:
    cores = median(cost.cores for cost in costs)
    size = median(cost.bytes_per_second for cost in costs) * case.over_s
    print(f"\n  {case.name}")
    print(
        f"    {'worker':<18} {cores:.3f} core{_limit(case.cores_max)}, "
        f"{median(cost.pss_bytes for cost in costs) / 1e6:.0f} MB PSS"
    )
    print(
        f"    {'size':<18} {size / 1e6:.2f} MB in {case.over_s:.0f} s{_limit(case.bytes_max, 1e6)}"
        + ("" if ssim is None else f", SSIM {ssim:.4f} against what was sent (at least 0.95)")
    )
    figures = {f"{case.name}: MB in {case.over_s:.0f} s": size / 1e6}
    if case.ratio_max is not None:
        names = ("ffmpeg", "libraries of PyAV", "ffmpeg, paced", "libraries, paced")
        for name, values in zip(names, zip(*floors, strict=True), strict=True):
            ratio = cores / median(values)
            print(
                f"    {name:<18} {median(values):.3f} core, "
                f"the worker takes {ratio:.2f} x{_limit(case.ratio_max)}"
            )
            figures[f"{case.name}: CPU to {name}"] = ratio
    return figures


def _limit(limit: float | None, unit: float = 1.0) -> str:
    return "" if limit is None else f" (at most {limit / unit:g})"
