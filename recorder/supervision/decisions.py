"""Decisions that a call service has to obey: it asks for what is new to it, and waits a while."""

import asyncio
import builtins

from recorder.database import ConversationTable
from recorder.database.supervisions import SupervisionTable
from recorder.kernel.conversation import Decision

WAIT_S_MAX = 30.0  # proxies drop a silent request after 30 to 60 s
DECISIONS_PER_ANSWER_MAX = 100  # a conversation has a handful


class Decisions:
    """Fulfils signaling.ports.Decisions."""

    def __init__(self, table: SupervisionTable, conversations: ConversationTable) -> None:
        self._table = table
        self._conversations = conversations
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, conversation: str) -> None:
        """Something was decided, and is written down."""
        for waiting in self._waiting.get(conversation, ()):
            waiting.set()

    async def list(self, conversation: str, *, after: int, wait_s: float) -> list[Decision]:
        """Those after the one with this sequence; where there are none, the next ones within `wait_s`."""
        await self._conversations.get(conversation)
        news = asyncio.Event()
        self._waiting.setdefault(conversation, set()).add(news)  # before looking: nothing falls in between
        until = asyncio.get_running_loop().time() + min(wait_s, WAIT_S_MAX)
        try:
            while not (found := await self._after(conversation, after)):
                if not await _set_by(news, until):
                    return []
                news.clear()
            return found
        finally:
            self._waiting[conversation].discard(news)
            if not self._waiting[conversation]:
                del self._waiting[conversation]

    async def _after(self, conversation: str, after: int) -> builtins.list[Decision]:
        return await self._table.decisions(conversation, after=after, limit=DECISIONS_PER_ANSWER_MAX)


async def _set_by(event: asyncio.Event, until: float) -> bool:
    """Wait for the event until this time of the loop; whether it came."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True
