"""Byte ranges and entity tags (RFC 9110, sections 8.8.3, 13 and 14): text in, decisions out."""

import re
from dataclasses import dataclass

from recorder.kernel.errors import BystanderError, Fault

_DIGITS_MAX = 18  # 10**18 bytes are more than any recording, and fit 64 bits
_RANGE = re.compile(
    rf"bytes=[ \t]*([0-9]{{0,{_DIGITS_MAX}}})-([0-9]{{0,{_DIGITS_MAX}}})[ \t]*\Z", re.IGNORECASE
)
_ENTITY_TAG = re.compile(r'[ \t]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes [start, stop) of a representation."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The Content-Range of a 206 with these bytes out of `size`."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class RangeNotSatisfiableError(BystanderError):
    """416: none of the bytes asked for exist; `size` is what Content-Range has to tell."""

    def __init__(self, size: int) -> None:
        super().__init__(
            "range_not_satisfiable",
            f"The recording has {size} bytes; none of them are in the range.",
            fault=Fault.CALLER,
            status=416,
        )
        self.size = size


def parse_range(header: str, size: int) -> ByteRange | None:
    """Return the one range that `header` asks of `size` bytes.

    None means that the header is to be ignored and everything sent, as RFC 9110 allows: another unit, a
    malformed value, or several ranges (players and downloaders ask for one).
    Raises RangeNotSatisfiableError.
    """
    match = _RANGE.match(header)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size) if last else None
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise RangeNotSatisfiableError(size)
    return ByteRange(start, min(size, int(last) + 1) if last else size)


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise RangeNotSatisfiableError(size)
    return ByteRange(max(0, size - length), size)


def entity_tag(opaque: str) -> str:
    """Put an opaque tag between quotes, unless it already stands there."""
    return opaque if opaque.startswith(('"', 'W/"')) else f'"{opaque}"'


def parse_entity_tags(header: str) -> list[str] | None:
    """The tags of an If-Match or If-None-Match with their quotes; ["*"] for "*"; None when malformed."""
    if header.strip(" \t") == "*":
        return ["*"]
    tags, position = [], 0
    while position < len(header):
        match = _ENTITY_TAG.match(header, position)
        if match is None:
            return None
        tags.append(match[1])
        position = match.end()
    return tags or None


def matches_weakly(header: str, etag: str) -> bool:
    """Whether an If-None-Match names `etag` (weak comparison); a malformed one names nothing."""
    tags = parse_entity_tags(header) or []
    return "*" in tags or etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether Range counts under this If-Range: the same strong tag. Dates never match: we give none."""
    return if_range is None or (not etag.startswith("W/") and if_range.strip(" \t") == etag)
