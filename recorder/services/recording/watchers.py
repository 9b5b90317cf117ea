"""Who watches a conversation's recordings: every watcher sees the newest state, and none is waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from recorder.kernel.recording import Recording

Now = Callable[[], Awaitable[list[Recording]]]
Show = Callable[[], Recording]
"""How a recording is now; asked when a watcher looks, so that nothing is made for nobody."""


class Watchers:
    """Tells watchers what changed. A slow watcher misses states in between, never the last one.

    What waits for a watcher is bounded by the number of recordings of its conversation.
    """

    def __init__(self) -> None:
        self._watching: dict[str, set[_Watcher]] = {}

    def tell(self, conversation: str, recording: str, show: Show) -> None:
        """A recording of the conversation has changed."""
        for watcher in self._watching.get(conversation, ()):
            watcher.tell(recording, show)

    @property
    def count(self) -> int:
        return sum(len(watchers) for watchers in self._watching.values())

    async def watch(self, conversation: str, now: Now) -> AsyncIterator[Recording]:
        """Yield how each recording is now, then each whenever it changes.

        `now` is asked after subscribing, so nothing falls in between.
        """
        watcher = _Watcher()
        self._watching.setdefault(conversation, set()).add(watcher)
        try:
            for recording in await now():
                watcher.tell_first(recording)
            while True:
                yield await watcher.next()
        finally:
            self._watching[conversation].discard(watcher)
            if not self._watching[conversation]:
                del self._watching[conversation]


class _Watcher:
    def __init__(self) -> None:
        self._untold: dict[str, Show] = {}
        self._last: dict[str, Recording] = {}
        self._news = asyncio.Event()

    def tell(self, recording: str, show: Show) -> None:
        self._untold[recording] = show
        self._news.set()

    def tell_first(self, recording: Recording) -> None:
        """How it was when asked for; what has changed since then is newer."""
        self._untold.setdefault(recording.id, lambda: recording)
        self._news.set()

    async def next(self) -> Recording:
        while True:
            while not self._untold:
                self._news.clear()
                await self._news.wait()
            recording = self._untold.pop(next(iter(self._untold)))()
            if self._last.get(recording.id) != recording:
                self._last[recording.id] = recording
                return recording
