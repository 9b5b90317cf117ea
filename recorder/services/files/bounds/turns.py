"""Turns of files that wait to be finished: no conversation takes two where another one waits. Pure."""

from collections.abc import Collection, Sequence
from math import inf

from recorder.kernel.files.file import SharedFile

RETRY_S_MAX = 300.0  # between two tries of a file that its scanner says nothing of


class Turns:
    """Which file is next, and when one that failed may try again; `now` and delays are seconds."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._served: dict[str, float] = {}  # when a conversation last had a turn

    def next(
        self, waiting: Sequence[SharedFile], served_now: Collection[str], now: float
    ) -> SharedFile | None:
        """Of a conversation that is not served now, the longest ago first; else of any; None: none is due."""
        due = [file for file in waiting if self._due.get(file.id, -inf) <= now]
        others = [file for file in due if file.conversation not in served_now]
        return min(others or due, key=self._order, default=None)

    def begin(self, file: SharedFile, now: float) -> None:
        """It has its turn."""
        self._served[file.conversation] = now

    def wait(self, file: SharedFile, delay: float, now: float) -> None:
        """It could not be finished for a reason that is not its own: again after `delay`."""
        self._due[file.id] = now + delay

    def back_off(self, file: SharedFile, delay: float, now: float) -> None:
        """Nothing was said of it: again after `delay`, and after twice as long each time."""
        failures = self._failures[file.id] = self._failures.get(file.id, 0) + 1
        self._due[file.id] = now + min(delay * 2.0 ** min(failures - 1, 30), RETRY_S_MAX)

    def keep(self, files: Collection[SharedFile]) -> None:
        """Forget all but these."""
        ids, conversations = {file.id for file in files}, {file.conversation for file in files}
        self._due = {file: due for file, due in self._due.items() if file in ids}
        self._failures = {file: count for file, count in self._failures.items() if file in ids}
        self._served = {one: since for one, since in self._served.items() if one in conversations}

    def _order(self, file: SharedFile) -> tuple[float, str]:
        return self._served.get(file.conversation, -inf), file.id
