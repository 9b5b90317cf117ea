"""The bytes of a part as they leave the spool: checked, damage blanked, the head filled in. Blocking."""

import hashlib
import logging
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import FragmentKind
from storage.spool.format import IndexEntry, crc32c
from storage.spool.reader import SpoolReader

_log = logging.getLogger(__name__)

# (init segment, every entry of the index) -> init segment with what is known only at the end, of the same
# length or, where storage asks for that, longer; ValueError where it cannot be done.
FinaliseInit = Callable[[bytes, Sequence[IndexEntry]], bytes]

_BOX = struct.Struct("!I4s")


@dataclass(frozen=True, slots=True)
class PartBytes:
    """What is sent, its MD5 in hex, and the offsets of fragments that had to be blanked."""

    data: bytes
    md5: str
    damaged: list[int]

    def head_crc32c(self, entries: Sequence[IndexEntry], growth: int) -> int:
        """Of the init segment as it stands in these bytes, which begin with it, `growth` bytes longer."""
        return crc32c(self.data[: entries[0].stop + growth])


def read_part(
    reader: SpoolReader,
    entries: Sequence[IndexEntry],
    first: int,
    last: int,
    fill: FinaliseInit | None,
    *,
    room: int = 0,
) -> PartBytes:
    """Read the fragments `first` to `last` (inclusive); with `fill` the init segment is filled in.

    The init segment gets `room` more bytes: the fragments will stand so much further on than in the spool.

    A fragment whose checksum fails is replaced by a box of the same length that players skip: one damaged
    sector then costs a gap of two seconds, and every offset stays. spool_damaged when it is the init segment.
    """
    wanted = entries[first : last + 1]
    data, damaged = reader.read_checked(wanted)
    for entry in damaged:
        if entry.kind is FragmentKind.INIT:
            raise BystanderError(
                "spool_damaged", "The init segment is damaged.", fault=Fault.DESTINATION, status=500
            )
        _log.error("fragment at %d of %s is damaged; blanked", entry.offset, reader.facts.recording)
        data = _patched(data, entry.offset - wanted[0].offset, free_box(entry.length))
    if wanted[0].kind is FragmentKind.INIT:
        init = data[: wanted[0].length]
        data = finished_init(init, entries, fill, room=room) + data[wanted[0].length :]
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return PartBytes(data, digest, [entry.offset for entry in damaged])


def free_box(length: int) -> bytes:
    """A box of `length` bytes that is to be ignored (ISO/IEC 14496-12, 8.1.2)."""
    return _BOX.pack(length, b"free").ljust(length, b"\0")[:length]


def finished_init(
    init: bytes, entries: Sequence[IndexEntry], fill: FinaliseInit | None, *, room: int = 0
) -> bytes:
    """The init segment with `room` more bytes, filled in where there is a `fill`."""
    roomy = init + free_box(room) if room else init
    return roomy if fill is None else fill_init(roomy, [entry.moved(room) for entry in entries], fill)


def fill_init(init: bytes, entries: Sequence[IndexEntry], fill: FinaliseInit) -> bytes:
    """The init segment filled in, never shorter than before; as it was where that cannot be done."""
    try:
        filled = fill(init, entries)
    except ValueError:
        # The recording plays without its seek index; a recording that is never available does not.
        _log.exception("the init segment could not be filled in; it stays as it was recorded")
        return init
    if len(filled) < len(init):  # the first part must stay as large as the store wants parts to be
        _log.error("a filled init segment has %d bytes, not %d; it stays", len(filled), len(init))
        return init
    return filled


def _patched(data: bytes, at: int, replacement: bytes) -> bytes:
    return b"".join((data[:at], replacement, data[at + len(replacement) :]))
