"""Pieces of a fuzzer's input: numbers, and byte strings that say how long they are."""

from collections.abc import Iterator


class Pieces:
    """Reads an input from its begin; behind its end there are zeros and nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> bool:
        return self._position < len(self._data)

    def number(self) -> int:
        """The next byte."""
        self._position += 1
        return self._data[self._position - 1] if self._position <= len(self._data) else 0

    def bytes(self) -> bytes:
        """As many bytes as the next two say."""
        length = self.number() << 8 | self.number()
        begin, self._position = self._position, self._position + length
        return self._data[begin : self._position]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """A number and a byte string each, to the end."""
        while self.left:
            yield self.number(), self.bytes()


def joined(*pieces: tuple[int, bytes]) -> bytes:
    """The input that is read as these pieces."""
    return b"".join(bytes((number,)) + len(data).to_bytes(2) + data for number, data in pieces)
