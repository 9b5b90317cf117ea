"""A recording becomes an object by a second name, where spool and store share a file system. Blocking.

So it takes its size once, finalising takes the same time whatever its length, and it succeeds on a full disk.
The fragments are not read again for it: the object is the very file that was recorded. Only a recording
whose seek index outgrew its room (after 90 minutes) is a new file: the kernel shares its blocks (XFS, Btrfs)
or copies them. The recorded file is not shifted in place, because others may be reading it.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from recorder.errors import BystanderError
from storage import spool_format as form
from storage.part_bytes import FinaliseInit, fill_init, read_part
from storage.spool_files import disk_errors, sync_directory, write_atomic, write_fully
from storage.spool_format import IndexEntry
from storage.spool_reader import SpoolReader

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
    never made from a filled one. Where `grow` makes it longer and there is room, it is a new file.
    spool_damaged when the init segment is.
    """
    media, head = reader.directory / form.MEDIA, reader.directory / form.HEAD
    with disk_errors():
        if not head.exists():
            init = read_part(reader, entries, 0, 0, None).data
            grown = init if grow is None else fill_init(init, entries, grow)
            if len(grown) > len(init) and (whole := _grown_copy(reader, entries, grown)) is not None:
                return whole
            write_atomic(head, init if fill is None else fill_init(init, entries, fill))
        fd = os.open(media, os.O_RDWR)
        try:
            os.ftruncate(fd, entries[-1].stop)
            write_fully(fd, head.read_bytes(), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
    return media


def _grown_copy(reader: SpoolReader, entries: Sequence[IndexEntry], grown: bytes) -> Path | None:
    """The recording with a longer init segment, as a file beside; None where the disk has no room for it."""
    whole = reader.directory / form.WHOLE
    beside = whole.with_name(whole.name + ".new")
    try:
        with beside.open("wb", buffering=0) as target, (reader.directory / form.MEDIA).open("rb") as source:
            write_fully(target.fileno(), grown, 0)
            _copy(source.fileno(), target.fileno(), entries[0].stop, entries[-1].stop, len(grown))
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
