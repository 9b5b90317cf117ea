"""Changes of files, for whoever watches a conversation: each file as it is whenever that changes."""

import asyncio
from collections.abc import AsyncIterator

from recorder.kernel.files.file import SharedFile

WATCHER_PENDING_MAX = 256  # changes that a watcher has not taken; then the oldest goes: the newest counts


class FileChanges:
    """One for each server; what happens on another server is heard there."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Queue[SharedFile]]] = {}

    def publish(self, file: SharedFile) -> None:
        """This is how it is now."""
        for queue in self._watchers.get(file.conversation, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(file)

    async def watch(self, conversation: str) -> AsyncIterator[SharedFile]:
        """Every change from now on, without an end."""
        queue: asyncio.Queue[SharedFile] = asyncio.Queue(WATCHER_PENDING_MAX)
        watchers = self._watchers.setdefault(conversation, set())
        watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            watchers.discard(queue)
            if not watchers:
                self._watchers.pop(conversation, None)
