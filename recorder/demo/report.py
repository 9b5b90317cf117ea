"""The demo's report: measured on the file that it made."""

from pathlib import Path

import msgspec
from yarl import URL

from media.check.av_offset import AvOffset, Region, measure
from media.video.layout import Tile, arrange, fit
from recorder.demo.call import DemoResult
from recorder.demo.cast import AGENT, VISITOR
from recorder.kernel.media import Canvas, MediaEvent, SourceKind
from recorder.settings.definitions import ServerSettings

_LAMP = 0.2  # of a talking head's height: the side of the lamp in its upper left corner
_INSIDE = 0.8  # of the lamp: away from its blurred edges
_MOVING_S = 0.2  # around a joining, while tiles change their places


def render(outcome: DemoResult) -> str:
    """A few lines for people."""
    recording = outcome.recording
    duration_s, size_mb = recording.duration_s or 0.0, (recording.bytes or 0) / 1e6
    call_s = max(duration_s, 1e-9)
    cores = (
        f"{outcome.worker_cpu_s / call_s:.2f} core the worker, {outcome.server_cpu_s / call_s:.2f} the server"
    )
    default = ServerSettings()
    here = URL.build(scheme="http", host=default.host, port=default.port)
    watch = here.join(URL(recording.links["watch"]).relative())
    return "\n".join(
        (
            f"duration   {duration_s:.1f} s",
            f"size       {size_mb:.2f} MB, {size_mb * 60 / call_s:.2f} MB a minute",
            f"start      {outcome.start_latency_s * 1000:.0f} ms from asking to the entry point",
            f"cpu        {outcome.worker_cpu_s + outcome.server_cpu_s:.1f} s ({cores})",
            f"sync       {_sync(lamp_offsets(outcome))}",
            f"watch      {watch} (while `make serve` runs)",
        )
    )


def lamp_offsets(outcome: DemoResult) -> AvOffset:
    """Sound against picture of the agent, for as long as the two people fill the canvas."""
    return measure(outcome.path, region=_lamp_region(), between_s=_two_alone(outcome.path))


def _two_alone(recording: Path) -> tuple[float, float]:
    """From when to when two cameras and no screen are shown, by the recording's own account beside it."""
    lines = recording.with_suffix(".events.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line, type=MediaEvent) for line in lines]
    joined = [event for event in told if event.kind == "joined"]
    cameras = [event.at_s for event in joined if event.source is SourceKind.CAMERA]
    screens = [event.at_s for event in joined if event.source is SourceKind.SCREEN_SHARE]
    return max(cameras) + _MOVING_S, min(screens, default=told[-1].at_s) - _MOVING_S


def _lamp_region() -> Region:
    canvas = Canvas()
    tiles = [
        Tile(person.participant, person.name, person.role, SourceKind.CAMERA, has_video=True)
        for person in (AGENT, VISITOR)
    ]
    picture = fit(640, 360, arrange(canvas, tiles)[0])
    side = int(picture.height * _LAMP * _INSIDE)
    return Region(picture.x, picture.y, side, side)


def _sync(offset: AvOffset) -> str:
    if not offset.offsets_s:
        return "no flash and beep found"
    late = "after" if offset.median_s >= 0 else "before"
    return (
        f"sound {abs(offset.median_s) * 1000:.0f} ms {late} picture; {len(offset.offsets_s)} flashes: "
        f"p95 {offset.p95_s * 1000:.0f} ms, max {offset.max_s * 1000:.0f} ms"
    )
