"""Boxes read back from a file or from bytes that nobody has vouched for. ISO/IEC 14496-12, clause 4.2.

Reading is bounded: top-level boxes are visited by their headers, and only those that describe media are ever
loaded. A file that stops anywhere is not an error here: the last place says that it is not whole.
"""

from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO, NamedTuple

from recorder.kernel.limits import MIB

DESCRIPTION_BYTES_MAX = 64 * MIB  # a `moov` of a 24-hour ordinary file is about 40 MiB; ours are under 2 KiB

_HEADER = Struct(">I4s")
_LARGE_SIZE = Struct(">Q")
_TO_THE_END = 0
_LARGE = 1


class MalformedError(ValueError):
    """The bytes at `offset` of the file contradict the standard, or themselves."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(f"{detail} (at byte {offset})")
        self.detail = detail
        self.offset = offset


class Place(NamedTuple):
    """Where one top-level box stands: its `size` with header, and whether all of it is in the file."""

    kind: bytes
    offset: int
    header_bytes: int
    size: int
    whole: bool

    @property
    def end(self) -> int:
        return self.offset + self.size


class Box(NamedTuple):
    """A box in memory: `body` is what follows its header, `offset` the header's place in the file."""

    kind: bytes
    body: memoryview
    offset: int


def top_level(file: BinaryIO) -> Iterator[Place]:
    """Yield the places of the top-level boxes in order; the last may be one that is not whole.

    `file` is seekable. Fewer than 8 bytes at the end are a place of kind b"". Raises MalformedError where
    a size is smaller than its header or a name is not four printable characters; nothing after it is read.
    """
    end = file.seek(0, 2)
    offset = 0
    while offset < end:
        file.seek(offset)
        place = place_of(file.read(_HEADER.size + _LARGE_SIZE.size), offset, end)
        yield place
        offset = place.end if place.whole else end


def load(file: BinaryIO, place: Place) -> Box:
    """Read one whole box; raises MalformedError where it is larger than any description may be."""
    if place.size > DESCRIPTION_BYTES_MAX:
        raise MalformedError(f"a {_name(place.kind)} box of {place.size} bytes", place.offset)
    file.seek(place.offset + place.header_bytes)
    body = file.read(place.size - place.header_bytes)
    if len(body) != place.size - place.header_bytes:
        raise MalformedError(f"a {_name(place.kind)} box that shrank while it was read", place.offset)
    return Box(place.kind, memoryview(body), place.offset)


def boxes_of(data: bytes, *, offset: int = 0) -> Iterator[Box]:
    """Yield the boxes that fill `data` exactly; `offset` is where it stands in the file."""
    return _boxes(memoryview(data), offset)


def children(box: Box, *, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes inside `box` after `skip` bytes of its own fields.

    Raises MalformedError where one does not fit in; up to three zero bytes at the end are padding.
    """
    return _boxes(box.body[skip:], box.offset + _HEADER.size + skip)


def child(box: Box, kind: bytes, *, skip: int = 0) -> Box:
    """Return the first box of that kind inside `box`; raises MalformedError where there is none."""
    found = find(box, kind, skip=skip)
    if found is None:
        raise MalformedError(f"{_name(box.kind)} without {_name(kind)}", box.offset)
    return found


def find(box: Box, kind: bytes, *, skip: int = 0) -> Box | None:
    """Return the first box of that kind inside `box`, or None."""
    return next((inner for inner in children(box, skip=skip) if inner.kind == kind), None)


def fields(layout: Struct, box: Box, at: int = 0) -> tuple[int, ...]:
    """Return the numbers of `layout` at byte `at` of the box's body; raises MalformedError past its end."""
    if at + layout.size > len(box.body):
        raise MalformedError(f"{_name(box.kind)} is too short", box.offset)
    return layout.unpack_from(box.body, at)


def version_and_flags(box: Box) -> tuple[int, int]:
    """Return the version and flags of a FullBox; its own fields begin at byte 4 of the body."""
    (word,) = fields(_WORD, box)
    return word >> 24, word & 0xFF_FFFF


_WORD = Struct(">I")


def _boxes(data: memoryview, offset: int) -> Iterator[Box]:
    at = 0
    while len(data) - at >= _HEADER.size:
        place = place_of(bytes(data[at : at + 16]), offset + at, offset + len(data))
        if not place.whole:
            raise MalformedError(f"{_name(place.kind)} is longer than what it stands in", place.offset)
        yield Box(place.kind, data[at + place.header_bytes : at + place.size], place.offset)
        at += place.size
    if any(data[at:]):
        raise MalformedError("bytes that are no box", offset + at)


def place_of(head: bytes, offset: int, end: int) -> Place:
    """Return the place of the box at `offset` of what ends at `end`; `head` is its first 16 bytes or more.

    Fewer only where there are no more. Raises MalformedError as `top_level` does.
    """
    available = end - offset
    if available < _HEADER.size:
        return Place(b"", offset, 0, available, False)
    size, kind = _HEADER.unpack_from(head)
    header_bytes = _HEADER.size
    if not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in kind):
        raise MalformedError(f"no box has the name {kind!r}", offset)
    if size == _TO_THE_END:
        return Place(kind, offset, header_bytes, available, True)
    if size == _LARGE:
        header_bytes += _LARGE_SIZE.size
        if available < header_bytes:
            return Place(kind, offset, available, available, False)
        (size,) = _LARGE_SIZE.unpack_from(head, _HEADER.size)
    if size < header_bytes:
        raise MalformedError(f"a {_name(kind)} box of {size} bytes", offset)
    return Place(kind, offset, header_bytes, size, size <= available)


def _name(kind: bytes) -> str:
    return kind.decode("latin-1")
