"""A process that writes a spool as a worker does: `python -m ... ROOT COUNT SIZE PAUSE_S`.

Prints the number of bytes that are acknowledged after each append. After COUNT fragments it waits for a line
on its standard input and ends the spool.
"""

import sys
import time
from pathlib import Path

from recorder.kernel.recording import EndReason
from storage.spool import SpoolWriter
from tests.storage.conftest import facts
from tests.storage.fragments import init, media


def main(root: str, count: str, size: str, pause_s: str) -> None:
    writer = SpoolWriter.create(Path(root), facts())
    for number in range(int(count) + 1):
        writer.append(media(number, int(size)) if number else init())
        print(writer.size, flush=True)  # noqa: T201
        time.sleep(float(pause_s))
    sys.stdin.readline()
    writer.end(EndReason.NORMAL, None, writer.duration_us)
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
