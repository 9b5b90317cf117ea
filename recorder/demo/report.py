"""What the demo says in the end: measured on the file it made."""

from yarl import URL

from media.av_offset import AvOffset, Region, measure
from media.layout import Tile, arrange, fit
from media.onsets import paired_offsets
from recorder.demo.call import Outcome
from recorder.demo.cast import AGENT, VISITOR
from recorder.settings import Server
from recorder.values import Canvas, SourceKind

_LAMP = 0.2  # of a talking head's height: the side of the lamp in its upper left corner
_INSIDE = 0.8  # of the lamp: away from its blurred edges


def render(outcome: Outcome, *, watched_until_s: float) -> str:
    """A few lines for people; the flashes are looked for in the first `watched_until_s` seconds."""
    recording = outcome.recording
    duration_s, size_mb = recording.duration_s or 0.0, (recording.bytes or 0) / 1e6
    call_s = max(duration_s, 1e-9)
    cores = (
        f"{outcome.worker_cpu_s / call_s:.2f} core the worker, {outcome.server_cpu_s / call_s:.2f} the server"
    )
    default = Server()
    here = URL.build(scheme="http", host=default.host, port=default.port)
    watch = here.join(URL(recording.links["watch"]).relative())
    return "\n".join(
        (
            f"duration   {duration_s:.1f} s",
            f"size       {size_mb:.2f} MB, {size_mb * 60 / call_s:.2f} MB a minute",
            f"start      {outcome.start_latency_s * 1000:.0f} ms from asking to the entry point",
            f"cpu        {outcome.worker_cpu_s + outcome.server_cpu_s:.1f} s ({cores})",
            f"sync       {_sync(lamp_offsets(outcome, watched_until_s=watched_until_s))}",
            f"watch      {watch} (while `make serve` runs)",
        )
    )


def lamp_offsets(outcome: Outcome, *, watched_until_s: float) -> AvOffset:
    """Sound against picture of the agent, for as long as the two people fill the canvas."""
    found = measure(outcome.path, region=_lamp_region())
    flashes = [flash_s for flash_s in found.flashes_s if flash_s < watched_until_s - 1]
    return AvOffset(flashes, found.beeps_s, paired_offsets(flashes, found.beeps_s))


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
