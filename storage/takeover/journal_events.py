"""The journal of events: what happened in the recording, in objects of bounded size.

    _bystander/uploads/<recording>/events-<start>    lines of events.jsonl from this byte on

The newest of these objects is replaced, with more lines in it, until it is full; then the next one begins.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from recorder.kernel.limits import KIB
from storage.takeover.journal_format import events_name, events_start

EVENTS_BYTES_MAX = 64 * KIB  # in one object: at most so much is sent again for one line more
FULL_BYTES = EVENTS_BYTES_MAX // 2  # a line has 16 KiB at most, so whoever holds less holds all there is


class EventsKept:
    """How far the lines are stored; pure."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """`sizes` of what an earlier process left, by name. What is after a gap is stored again."""
        self._start = self._stop = 0
        while (size := sizes.get(events_name(self._stop), 0)) > 0:
            self._start, self._stop = self._stop, self._stop + size

    @property
    def start(self) -> int:
        """The byte from which on lines are read, for the object that is the newest."""
        return self._start

    def name_for(self, lines: bytes) -> str | None:
        """Where the lines that were read from `start` belong; None where they are stored already."""
        return events_name(self._start) if self._start + len(lines) > self._stop else None

    def stored(self, lines: bytes) -> bool:
        """They are stored now. Whether there may be more, for the next object."""
        self._stop = max(self._stop, self._start + len(lines))
        if len(lines) < FULL_BYTES:
            return False
        self._start += len(lines)
        return True


def read_lines(path: Path, start: int) -> bytes:
    """Whole lines from this byte on, EVENTS_BYTES_MAX at most; empty where there are none. Blocking."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        data = os.pread(fd, EVENTS_BYTES_MAX, start)
    finally:
        os.close(fd)
    return data[: data.rfind(b"\n") + 1]


def joined(kept: Mapping[str, bytes]) -> bytes:
    """The lines of all these objects, by name, as far as they adjoin; pure."""
    lines = b""
    for name in sorted(kept):
        if events_start(name) != len(lines):
            break
        lines += kept[name]
    return lines[: lines.rfind(b"\n") + 1]
