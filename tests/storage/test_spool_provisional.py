"""A fragment that may still grow: nobody reads it, no crash costs it, and no recording has it twice."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.kernel.recording import EndReason
from storage.spool import SpoolReader, SpoolWriter, seal
from storage.spool import format as form
from tests.storage.conftest import RECORDING
from tests.storage.fragments import FRAGMENT_US, growing, init, media

Create = Callable[..., SpoolWriter]


def written(root: Path) -> tuple[list[int], list[int]]:
    """The sizes and the starts of the fragments that readers find, whose checksums match."""
    reader = SpoolReader.open(root, RECORDING)
    entries = reader.index()
    assert reader.read_checked(entries)[1] == []
    reader.close()
    return [entry.length for entry in entries[1:]], [entry.start_us for entry in entries[1:]]


def test_nobody_reads_it_before_it_is_whole(create: Create, root: Path) -> None:
    writer = create()
    for fragment in (init(), media(1, 100), growing(2, 30), growing(2, 60)):
        writer.append(fragment)
    assert (writer.size, writer.fragments) == (1124, 2)
    assert writer.duration_us == 2 * FRAGMENT_US  # but what is safe is told
    assert written(root) == ([100], [0])
    writer.append(media(2, 90))
    writer.append(media(3, 10))
    assert written(root) == ([100, 90, 10], [0, FRAGMENT_US, 2 * FRAGMENT_US])
    assert writer.end(EndReason.NORMAL, None, writer.duration_us).fragments == 4
    assert not (root / RECORDING / form.PROVISIONAL).exists()
    writer.close()


@pytest.mark.parametrize("became_whole", [False, True])
def test_no_crash_costs_it(create: Create, root: Path, became_whole: bool) -> None:
    writer = create()
    for fragment in (init(), media(1, 100), growing(2, 30), growing(2, 60)):
        writer.append(fragment)
    if became_whole:
        writer.append(media(2, 90))
    writer.close()
    ending = seal(root, RECORDING, EndReason.ABORT_UNEXPECTED, "worker_died")
    last = 90 if became_whole else 60
    assert written(root) == ([100, last], [0, FRAGMENT_US])
    assert (ending.bytes, ending.fragments, ending.duration_us) == (1124 + last, 3, 2 * FRAGMENT_US)


def test_a_damaged_one_costs_only_itself(create: Create, root: Path) -> None:
    writer = create()
    for fragment in (init(), media(1, 100), growing(2, 60)):
        writer.append(fragment)
    writer.close()
    path = root / RECORDING / form.PROVISIONAL
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert seal(root, RECORDING, EndReason.ABORT_UNEXPECTED, "worker_died").fragments == 2
    assert written(root) == ([100], [0])


def test_it_is_in_the_recording_that_ends_with_it(create: Create, root: Path) -> None:
    writer = create()
    for fragment in (init(), growing(1, 60)):
        writer.append(fragment)
    ending = writer.end(EndReason.ABORT_UNEXPECTED, "render_failed", writer.duration_us)
    assert (ending.fragments, ending.bytes) == (2, 1084)
    assert written(root) == ([60], [0])
    writer.close()


def test_a_full_disk_has_room_for_it_where_it_was(
    create: Create, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create()
    for fragment in (init(), growing(1, 60)):
        writer.append(fragment)
    real = os.fdatasync

    def full(fd: int) -> None:
        if (root / RECORDING / form.PROVISIONAL).exists():
            raise OSError(errno.ENOSPC, "full")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", full)
    assert writer.end(EndReason.ABORT_UNEXPECTED, "disk_full", FRAGMENT_US).fragments == 2
    assert written(root) == ([60], [0])
    writer.close()
