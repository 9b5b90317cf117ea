"""One minute of two talking people, 2 x 640x360@25 composed to 1280x720@25: CPU, memory, size, sync, lag."""

import tempfile
from pathlib import Path

import psutil

from recorder.demo.call import DemoCall, hold
from recorder.demo.cast import AGENT, VISITOR
from recorder.demo.main import ON_LOOPBACK
from recorder.demo.report import lamp_offsets
from recorder.demo.server import ServerProcess, serving

CALL_S = 60.0


async def measure() -> None:
    """Hold the call against a real server and print what it took."""
    with tempfile.TemporaryDirectory() as scratch:
        async with serving(Path(scratch), settings=ON_LOOPBACK) as server:
            pss: list[int] = []
            parts = [{"person": person.participant} for person in (AGENT, VISITOR)]
            call = DemoCall(seconds=CALL_S, parts=parts)
            outcome = await hold(call, server, progress=lambda _: pss.append(_worker_pss(server)))
        duration_s = outcome.recording.duration_s or 1.0
        size = outcome.recording.bytes or 0
        offset = lamp_offsets(outcome)
    print(f"  worker CPU      {outcome.worker_cpu_s / duration_s:.3f} core")
    print(f"  server CPU      {outcome.server_cpu_s / duration_s:.3f} core")
    print(f"  worker memory   {max(pss) / 1e6:.0f} MB PSS at most")
    print(f"  size            {size / 1e6 * 60 / duration_s:.2f} MB a minute")
    print(
        f"  flash to beep   p50 {offset.p50_s * 1000:.1f} ms   p95 {offset.p95_s * 1000:.1f} ms   "
        f"max {offset.max_s * 1000:.1f} ms   ({len(offset.offsets_s)} pairs)"
    )


def _worker_pss(server: ServerProcess) -> int:
    """Proportional set size of the largest process under the server: what one more recording takes."""
    processes = psutil.Process(server.pid).children(recursive=True)
    return max((process.memory_full_info().pss for process in processes), default=0)
