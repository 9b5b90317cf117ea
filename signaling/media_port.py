"""Stored bytes that are open for reading: of recordings, files and pictures."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MediaBytes:
    """An open reading of a recording, a file or a picture.

    `size` is what is readable now; it grows while `complete` is False.
    """

    size: int
    complete: bool
    etag: str
    content_type: str
    filename: str

    reader: "MediaReader"


class MediaReader(Protocol):
    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop) in chunks; raises BystanderError when they cannot be had."""
        ...

    async def close(self) -> None: ...
