"""A recording becomes an object by a second name, where spool and store share a file system. Blocking.

So it takes its size once, finalising takes the same time whatever its length, and it succeeds on a full disk.
The fragments are not read again for it: the object is the very file that was recorded.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from storage import spool_format as form
from storage.part_bytes import FinaliseInit, fill_init, read_part
from storage.spool_files import disk_errors, write_atomic, write_fully
from storage.spool_format import IndexEntry
from storage.spool_reader import SpoolReader


def finished_media(reader: SpoolReader, entries: Sequence[IndexEntry], fill: FinaliseInit | None) -> Path:
    """Make the spool's media what the object is to be, in place and durable; return its path.

    What a crash left past the last whole fragment is cut off and the init segment is filled in. May be
    interrupted and repeated: the filled init segment is kept beside, so it is never made from a filled one.
    spool_damaged when the init segment is.
    """
    media, head = reader.directory / form.MEDIA, reader.directory / form.HEAD
    with disk_errors():
        if not head.exists():
            init = read_part(reader, entries, 0, 0, None).data
            write_atomic(head, init if fill is None else fill_init(init, entries, fill))
        fd = os.open(media, os.O_RDWR)
        try:
            os.ftruncate(fd, entries[-1].stop)
            write_fully(fd, head.read_bytes(), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
    return media
