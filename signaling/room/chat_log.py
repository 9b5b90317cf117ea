"""The chat log: what is said in a room, heard at once and written to the history behind, in order."""

import asyncio
import logging

from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from signaling.ports import Caller, Messages
from signaling.room.core.limits import CHAT_PENDING_MAX

_log = logging.getLogger(__name__)


class ChatLog:
    """A queue with one task behind it; a control plane that refuses or does not answer disturbs no talk."""

    def __init__(self, conversation: str, messages: Messages) -> None:
        self._conversation = conversation
        self._messages = messages
        self._queue: asyncio.Queue[tuple[Participant, str] | None] = asyncio.Queue(CHAT_PENDING_MAX + 1)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, participant: Participant, text: str) -> None:
        """Somebody said this; the newest is not kept when CHAT_PENDING_MAX wait already."""
        if self._queue.qsize() >= CHAT_PENDING_MAX:
            _log.error("A message in %s is not kept: too many wait.", self._conversation)
            return
        self._queue.put_nowait((participant, text))

    def close(self) -> None:
        """Nothing comes any more."""
        self._queue.put_nowait(None)  # there is always room for this one

    async def closed(self) -> None:
        """Wait until everything is kept."""
        await self._task

    async def _run(self) -> None:
        while (said := await self._queue.get()) is not None:
            participant, text = said
            try:
                await self._messages.say(Caller(participant), self._conversation, text=text, participant=None)
            except BystanderError as error:
                _log.warning("A message in %s is not kept: %s", self._conversation, error)
            except Exception:  # noqa: BLE001 - a defect behind the port must not lose what comes after
                _log.exception("A message in %s is not kept.", self._conversation)
