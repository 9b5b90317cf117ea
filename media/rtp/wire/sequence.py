"""Counters that wrap, made into counters that do not."""


class Unwrapper:
    """Extends a counter of `bits` bits, taking each value as the one nearest to the newest seen.

    The first value is extended by one whole cycle, so what is older than it stays positive.
    """

    __slots__ = ("_half", "_mask", "newest")

    def __init__(self, bits: int, first: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self.newest = first + (1 << bits)

    def peek(self, value: int) -> int:
        """The extended value, without taking note of it."""
        newest = self.newest
        delta = (value - newest) & self._mask
        if delta >= self._half:
            delta -= self._mask + 1
        return newest + delta

    def advance(self, extended: int) -> None:
        """Take an extended value for the newest."""
        self.newest = extended

    def unwrap(self, value: int) -> int:
        """The extended value; it becomes the newest if it is ahead."""
        newest = self.newest
        delta = (value - newest) & self._mask
        if delta < self._half:
            self.newest = newest + delta
            return newest + delta
        return newest + delta - self._mask - 1
