"""Tells the control plane, in order, which calls and screen shares of a room start and end."""

import asyncio
import logging

from recorder.errors import BystanderError
from recorder.values import InteractionKind, LayerKind
from signaling.ports import Conversations
from signaling.room.effects import CallBegan, CallEnded, ShareBegan, ShareEnded
from signaling.room.limits import INTERACTIONS_PENDING_MAX

_log = logging.getLogger(__name__)
_CALL = "call"  # the key of the CALL among the sharers' participant ids

Change = CallBegan | CallEnded | ShareBegan | ShareEnded


class Interactions:
    """A queue with one task behind it: an end is never told before its start.

    A control plane that refuses or does not answer disturbs no call: what it refused is logged, and the queue
    drops the newest change when INTERACTIONS_PENDING_MAX are waiting, which is logged as well. Whatever still
    runs when the room closes is ended then, so a dropped end is late and never missing.
    """

    def __init__(self, conversation: str, conversations: Conversations) -> None:
        self._conversation = conversation
        self._conversations = conversations
        self._running: dict[str, str] = {}  # call or sharer -> interaction
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(INTERACTIONS_PENDING_MAX)
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, change: Change) -> None:
        """Something started or ended."""
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            _log.error("%s of %s is not told: too many changes wait.", change, self._conversation)

    def close(self) -> None:
        """Nothing comes any more; what runs is ended once the queue is empty."""
        self._closing = True
        if self._queue.empty():
            self._queue.put_nowait(None)

    async def closed(self) -> None:
        """Wait until everything was told."""
        await self._task

    async def _run(self) -> None:
        while not (self._closing and self._queue.empty()):
            change = await self._queue.get()
            if change is not None:
                await self._try(change)
        for key in list(self._running):
            await self._try(CallEnded() if key == _CALL else ShareEnded(key))

    async def _try(self, change: Change) -> None:
        try:
            await self._tell(change)
        except BystanderError as error:
            _log.warning("%s of %s was refused: %s", change, self._conversation, error)
        except Exception:  # noqa: BLE001 - a defect behind the port must not end the queue: ends would be missing
            _log.exception("%s of %s failed.", change, self._conversation)

    async def _tell(self, change: Change) -> None:
        match change:
            case CallBegan():
                await self._start(_CALL, InteractionKind.CALL, None)
            case ShareBegan(participant):
                await self._start(participant, InteractionKind.COLLABORATION_LAYER, LayerKind.SCREEN_SHARE)
            case CallEnded():
                await self._end(_CALL)
            case ShareEnded(participant):
                await self._end(participant)

    async def _start(self, key: str, kind: InteractionKind, layer: LayerKind | None) -> None:
        started = await self._conversations.start_interaction(self._conversation, kind=kind, layer=layer)
        self._running[key] = started.id

    async def _end(self, key: str) -> None:
        interaction = self._running.pop(key, None)
        if interaction is not None:
            await self._conversations.end_interaction(self._conversation, interaction)
