"""Strangers: sockets that have not said yet whose they are, so many of an address and so many in all.

One too many is no reason to refuse the newest: whoever has a token shows it at once, so the one that has been
silent longest makes way. However many say nothing, there is a place for who says something.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count


class Strangers:
    """The sockets that wait to be introduced; `send_away` is called for the one that makes way."""

    def __init__(self, *, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._numbers = count()
        self._waiting: OrderedDict[int, tuple[str, Callable[[], None]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def waiting(self, address: str, send_away: Callable[[], None]) -> Iterator[None]:
        """One more for the length of the block."""
        if sum(share == address for share, _ in self._waiting.values()) >= self._per_address:
            self._dismiss(lambda share: share == address)
        elif len(self._waiting) >= self._total:
            self._dismiss(lambda share: True)
        number = next(self._numbers)
        self._waiting[number] = address, send_away
        try:
            yield
        finally:
            self._waiting.pop(number, None)

    def _dismiss(self, among: Callable[[str], bool]) -> None:
        number = next(number for number, (share, _) in self._waiting.items() if among(share))
        _, send_away = self._waiting.pop(number)
        send_away()
