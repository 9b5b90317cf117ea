"""Entries of the audit log in a second, and how long the event loop stood still meanwhile.

`python -m benchmarks.audit [postgresql://...]`; without a URL SQLite in a temporary directory.
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from recorder.audit.log import WAITING_MAX, AuditLog
from recorder.database import Database
from recorder.database.audit import AuditTable
from recorder.database.connection import sqlite_url
from recorder.kernel.audit.act import Act, Actor, ActorKind, AuditHead
from recorder.kernel.clock import SystemClock

LOOK_S = 0.002


async def measure(url: str) -> str:
    """One full queue, noted and written."""
    database = Database(url)
    await database.open()
    log = AuditLog(AuditTable(database), SystemClock(), head_changed=_nobody_listens)
    acts = [_act(number) for number in range(WAITING_MAX)]
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for act in acts:
        log.note(act, is_countable=True)
    noted_s = time.perf_counter() - began_s
    log.end()
    writing, longest_s = asyncio.ensure_future(log.run()), 0.0
    while not writing.done():
        looked_s = time.perf_counter()
        await asyncio.sleep(LOOK_S)
        longest_s = max(longest_s, time.perf_counter() - looked_s - LOOK_S)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    await database.close()
    return (
        f"{WAITING_MAX / took_s:.0f} entries/s written, {1e6 * noted_s / WAITING_MAX:.0f} us for a caller,"
        f" {1e6 * cpu_s / WAITING_MAX:.0f} us of CPU each, the loop stood still for {1e3 * longest_s:.0f} ms"
    )


def _act(number: int) -> Act:
    actor = Actor(kind=ActorKind.KEY, id="key_01jabcdefghjkmnpqrstvwxyz0", name="Desk", address="192.0.2.7")
    return Act(
        occurred_at=datetime.now(UTC),
        action="getRecordingMedia",
        actor=actor,
        recording=f"rec_{number}",
        details={"use": "playback"},
        request="req_01jabcdefghjkmnpqrstvwxyz0",
        status=206,
    )


async def _nobody_listens(_: AuditHead) -> None:
    return None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        print(asyncio.run(measure(sys.argv[1] if sys.argv[1:] else sqlite_url(Path(directory) / "b.db"))))
