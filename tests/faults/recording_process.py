"""A worker's writing half: `python -m ... FOOTAGE ROOT COUNT PACE_S`.

A fragment is appended every PACE_S seconds; its number is printed once it is acknowledged. After COUNT
fragments, or when its standard input is closed, it ends the spool.
"""

import select
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.spool import SpoolFacts, SpoolWriter
from tests.support.footage import load

RECORDING = "rec_00000000000000000000000001"
KEY = f"conv_1/{RECORDING}.mp4"


def facts() -> SpoolFacts:
    return SpoolFacts(
        recording=RECORDING,
        conversation="conv_1",
        key=KEY,
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def main(footage: str, root: str, count: str, pace_s: str) -> None:
    source, writer = load(Path(footage)), SpoolWriter.create(Path(root), facts())
    began, failure = time.monotonic(), None
    for number in range(int(count) + 1):
        fragment = source.fragment(number)
        wait_s = max(0.0, began + number * float(pace_s) - time.monotonic())
        if select.select([sys.stdin], [], [], wait_s)[0]:
            break
        try:
            writer.append(fragment)
        except BystanderError as error:
            failure = error.code
            break
        print(number, flush=True)  # noqa: T201
    reason = EndReason.NORMAL if failure is None else EndReason.ABORT_SYSTEM
    writer.end(reason, failure, writer.duration_us)
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
