"""The fragment that may still grow: kept beside `media`, so that a crash costs no more of it than of others.

On a page at rest a fragment is several times as long as what a crash may cost. Until it is whole, what there
is of it is written here, longer each time; then it is appended to `media` like any other, and what is here
says by its offset that it belongs nowhere any more. Calls block on the disk and raise OSError.
"""

from pathlib import Path

from storage.spool import format as form
from storage.spool.durable_files import write_atomic
from storage.spool.format import IndexEntry


def keep(directory: Path, entry: IndexEntry, data: bytes) -> None:
    """Replace what is kept, durably: a record as in the index, and the fragment."""
    write_atomic(directory / form.PROVISIONAL, form.pack_record(entry) + data)


def kept(directory: Path, size: int) -> tuple[IndexEntry, bytes] | None:
    """The fragment that would follow a media of `size` bytes; None where there is none, or it is damaged."""
    try:
        found = (directory / form.PROVISIONAL).read_bytes()
    except FileNotFoundError:
        return None
    entry, data = form.unpack_record(found[: form.RECORD_BYTES]), found[form.RECORD_BYTES :]
    if entry is None or (entry.offset, entry.length, entry.crc32c) != (size, len(data), form.crc32c(data)):
        return None
    return entry, data


def drop(directory: Path) -> None:
    """Give up what is kept, and its place on the disk."""
    (directory / form.PROVISIONAL).unlink(missing_ok=True)
