"""Small files that are there twice, so that damage to one of them costs nothing. Blocking.

    facts.json   the JSON, for people and tools
    facts.copy   CRC-32C of the JSON, four bytes, and the JSON again; written first

A copy whose checksum holds is believed: where the other differs, that one was damaged, or a crash came
between the two. Where the copy is gone or damaged, or is of before there was one, the other is believed if
it can be decoded.
"""

import logging
import struct
from pathlib import Path
from typing import TypeVar

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from storage.spool.durable_files import disk_errors, write_atomic
from storage.spool.format import crc32c

COPY = ".copy"

_CHECK = struct.Struct("!I")
_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)


def copy_of(path: Path) -> Path:
    """The second copy's file."""
    return path.with_suffix(COPY)


def write_twice(path: Path, data: bytes) -> None:
    """Replace both, durably, each as a whole. OSError."""
    write_copy(path, data)
    write_atomic(path, data)


def write_copy(path: Path, data: bytes) -> None:
    """Replace the second copy alone. OSError."""
    write_atomic(copy_of(path), _CHECK.pack(crc32c(data)) + data)


def read_twice(path: Path, type_: type[_Value]) -> _Value | None:
    """Decode what is kept under this name; None when there is nothing, spool_damaged when nothing can be
    believed."""
    with disk_errors():
        first, second = _read(path), _read(copy_of(path))
    sound = _sound(second)
    if sound is not None and sound != first:
        _log.warning("%s of %s is read from its copy", path.name, path.parent.name)
    data = first if sound is None else sound
    if data is None:
        if second is None:
            return None
        raise damaged(path)
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise damaged(path) from error


def is_there(path: Path) -> bool:
    """Whether either of the two is there, in whatever state."""
    return path.exists() or copy_of(path).exists()


def remove_both(path: Path) -> None:
    """Remove the file and its copy, as far as they are there. OSError."""
    path.unlink(missing_ok=True)
    copy_of(path).unlink(missing_ok=True)


def damaged(path: Path) -> BystanderError:
    """Neither copy of this file can be believed."""
    return BystanderError(
        "spool_damaged", f"{path.name} of a spool cannot be read.", fault=Fault.DESTINATION, status=500
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sound(copy: bytes | None) -> bytes | None:
    if copy is None or len(copy) < _CHECK.size:
        return None
    (check,), data = _CHECK.unpack_from(copy), copy[_CHECK.size :]
    return data if crc32c(data) == check else None
