"""A recording becomes an object by a second name, where spool and store share a file system. Blocking.

So it takes its size once, finalising takes the same time whatever its length, and it succeeds on a full disk.
The fragments are not read again for it: the object is the very file that was recorded. Where the seek index
outgrew its room (after 90 minutes), the file system makes more at the front of that file. One that cannot
(storage.spool.insert_range) gets a new file, whose blocks it shares (Btrfs) or else copies.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.media import FragmentKind
from storage.spool import format as form
from storage.spool.durable_files import disk_errors, sync_directory, write_atomic, write_fully
from storage.spool.format import IndexEntry
from storage.spool.insert_range import STEP_BYTES, move, move_back, moved_by, moving
from storage.spool.part_bytes import FinaliseInit, fill_init, finished_init, read_part
from storage.spool.reader import SpoolReader

COPY_BYTES_MAX = 64 * 1024 * 1024  # in one call to the kernel, so that the thread can be ended

_log = logging.getLogger(__name__)


def finished_media(
    reader: SpoolReader,
    entries: Sequence[IndexEntry],
    fill: FinaliseInit | None,
    grow: FinaliseInit | None = None,
) -> Path:
    """Make a durable file of what the object is to be; return its path.

    It is the spool's media: what a crash left past the last whole fragment is cut off and the init segment
    is filled in, in place. May be interrupted and repeated: the filled init segment is kept beside, so it is
    never made from a filled one, and its length says how far the fragments are to be moved. Without room on
    the disk for what `grow` adds, there are durations only. spool_damaged when the init segment is.
    """
    with disk_errors():
        head = reader.directory / form.HEAD
        if not head.exists():
            _prepare_head(reader, entries, fill, grow)
        finished = head.read_bytes()
        try:
            return _in_place(reader, entries, finished)
        except OSError as error:
            if len(finished) == entries[0].length:
                raise
            _log.info("%s is copied for its seek index: %s", reader.facts.recording, error)
        whole = _copied(reader, entries, finished)
        if whole is not None:
            return whole
        shorter = read_part(reader, entries, 0, 0, fill).data
        head.unlink()  # first, because it takes what room there is
        write_atomic(head, shorter)
        return _in_place(reader, entries, shorter)


def _prepare_head(
    reader: SpoolReader, entries: Sequence[IndexEntry], fill: FinaliseInit | None, grow: FinaliseInit | None
) -> None:
    """Write down the init segment as it is to be: longer by whole blocks where its index needs that."""
    init = read_part(reader, entries, 0, 0, None).data
    growth = 0 if grow is None else len(fill_init(init, entries, grow)) - len(init)
    room = -(-growth // STEP_BYTES) * STEP_BYTES
    if room or _fragments_end(entries) < entries[-1].stop:
        # readers of the recorded bytes need them once others stand in their place
        write_atomic(reader.directory / form.INIT, form.without_zeros(init))
    head = reader.directory / form.HEAD
    try:
        write_atomic(head, finished_init(init, entries, fill, room=room))
    except OSError as error:
        if not room:
            raise
        _log.warning("no room for the whole seek index of %s: %s", reader.facts.recording, error)
        write_atomic(head, finished_init(init, entries, fill))


def forget_head(reader: SpoolReader) -> None:
    """Let `finished_media` begin from nothing, because the object is to be something else."""
    with disk_errors():
        (reader.directory / form.HEAD).unlink(missing_ok=True)


def _fragments_end(entries: Sequence[IndexEntry]) -> int:
    return next((entry.offset for entry in entries if entry.kind is FragmentKind.TABLES), entries[-1].stop)


def _in_place(reader: SpoolReader, entries: Sequence[IndexEntry], head: bytes) -> Path:
    media = reader.directory / form.MEDIA
    growth, stop = len(head) - entries[0].stop, entries[-1].stop
    behind = reader.read(_fragments_end(entries), stop)
    fd = os.open(media, os.O_RDWR)
    try:
        with moving(fd):
            if moved_by(fd) != growth:
                move_back(fd)
                os.ftruncate(fd, stop)
                if growth:
                    move(fd, growth)
            try:
                os.ftruncate(fd, stop + growth)
                write_fully(fd, behind, stop + growth - len(behind))
                write_fully(fd, head, 0)
                os.fsync(fd)
            except OSError:
                move_back(fd)
                raise
    finally:
        os.close(fd)
    return media


def _copied(reader: SpoolReader, entries: Sequence[IndexEntry], head: bytes) -> Path | None:
    """The recording with a longer init segment, as a file beside; None where the disk has no room for it."""
    whole = reader.directory / form.WHOLE
    beside = whole.with_name(whole.name + ".new")
    start = entries[0].stop // STEP_BYTES * STEP_BYTES  # only whole blocks can be shared
    growth = len(head) - entries[0].stop
    try:
        with beside.open("wb", buffering=0) as target, (reader.directory / form.MEDIA).open("rb") as source:
            _copy(source.fileno(), target.fileno(), start, entries[-1].stop, start + growth)
            write_fully(target.fileno(), head, 0)
            os.fsync(target.fileno())
        beside.replace(whole)
        sync_directory(reader.directory)
    except (OSError, BystanderError) as error:
        beside.unlink(missing_ok=True)
        _log.warning("no room for the whole seek index of %s: %s", reader.facts.recording, error)
        return None
    return whole


def _copy(source: int, target: int, start: int, stop: int, at: int) -> None:
    while start < stop:
        copied = os.copy_file_range(source, target, min(stop - start, COPY_BYTES_MAX), start, at)
        if copied == 0:
            raise OSError("the spool is shorter than its index")
        start, at = start + copied, at + copied
