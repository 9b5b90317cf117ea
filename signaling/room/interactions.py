"""Interactions of a room: calls and shares told to the control plane in order, and its decisions obeyed."""

import asyncio
import logging
from collections.abc import Callable

from recorder.kernel.conversation import DecisionKind, Interaction, InteractionKind, LayerKind
from recorder.kernel.conversation import InteractionState as Decided
from recorder.kernel.errors import BystanderError
from signaling.ports import Conversations, Decisions
from signaling.room.core.effects import CallBegan, CallEnded, ShareBegan, ShareEnded
from signaling.room.core.limits import INTERACTIONS_PENDING_MAX, START_DECISION_S_MAX
from signaling.room.core.messages import InteractionState

_log = logging.getLogger(__name__)
_CALL = "call"  # the key of the CALL among the sharers' participant ids
_WAIT_S = 25.0  # one question for decisions
_RETRY_S = 1.0

Began = CallBegan | ShareBegan
Change = Began | CallEnded | ShareEnded
OnDecided = Callable[[Began, InteractionState, str | None], None]

_DECIDED = {
    DecisionKind.HOLD: InteractionState.HELD,
    DecisionKind.RELEASE: InteractionState.STARTED,
    DecisionKind.ABORT: InteractionState.ABORTED,
}
_BEGUN = {
    Decided.HELD: InteractionState.HELD,
    Decided.RUNNING: InteractionState.STARTED,
    Decided.ABORTED: InteractionState.ABORTED,
    Decided.ENDED: InteractionState.ENDED,
}


class Interactions:
    """A queue with one task behind it: an end is never told before its start.

    A control plane that refuses or does not answer disturbs no call: what it refused is logged and starts,
    and the queue drops the newest change when INTERACTIONS_PENDING_MAX are waiting, which is logged as well.
    Whatever still runs when the room closes is ended then, so a dropped end is late and never missing.
    """

    def __init__(
        self, conversation: str, conversations: Conversations, decisions: Decisions, on_decided: OnDecided
    ) -> None:
        self._conversation = conversation
        self._conversations = conversations
        self._decisions = decisions
        self._on_decided = on_decided
        self._running: dict[str, str] = {}  # call or sharer -> interaction
        self._began: dict[str, Began] = {}  # interaction -> as what the room knows it
        self._early: dict[str, tuple[InteractionState, str | None]] = {}  # decided before we knew its id
        self._obeying = asyncio.get_running_loop().create_task(self._obey())
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(INTERACTIONS_PENDING_MAX)
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, change: Change) -> None:
        """Something started or ended."""
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            _log.error("%s of %s is not told: too many changes wait.", change, self._conversation)
            self._let(change)

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
        self._obeying.cancel()
        for key in list(self._running):
            await self._try(CallEnded() if key == _CALL else ShareEnded(key))

    async def _try(self, change: Change) -> None:
        try:
            await self._tell(change)
        except (BystanderError, TimeoutError) as error:
            _log.warning("%s of %s was refused: %r", change, self._conversation, error)
            self._let(change)
        except Exception:  # noqa: BLE001 - a defect behind the port must not end the queue: ends would be missing
            _log.exception("%s of %s failed.", change, self._conversation)
            self._let(change)

    def _let(self, change: Change) -> None:
        """Nobody decides about it: people are not made to wait for that."""
        if isinstance(change, CallBegan | ShareBegan):
            self._on_decided(change, InteractionState.STARTED, None)

    async def _tell(self, change: Change) -> None:
        match change:
            case CallBegan():
                await self._start(_CALL, change, InteractionKind.CALL, None)
            case ShareBegan(participant):
                layer = LayerKind.SCREEN_SHARE
                await self._start(participant, change, InteractionKind.COLLABORATION_LAYER, layer)
            case CallEnded():
                await self._end(_CALL)
            case ShareEnded(participant):
                await self._end(participant)

    async def _start(self, key: str, began: Began, kind: InteractionKind, layer: LayerKind | None) -> None:
        async with asyncio.timeout(START_DECISION_S_MAX):
            started = await self._conversations.start_interaction(
                self._conversation, kind=kind, layer=layer, owner=f"room:{key}"
            )
        self._running[key] = started.id
        self._began[started.id] = began
        self._on_decided(began, *self._early.pop(started.id, (_state(started), None)))

    async def _end(self, key: str) -> None:
        interaction = self._running.pop(key, None)
        if interaction is not None:
            self._began.pop(interaction, None)
            await self._conversations.end_interaction(self._conversation, interaction)

    async def _obey(self) -> None:
        """Hear what is decided about interactions that began earlier."""
        after = 0
        while True:
            try:
                found = await self._decisions.list(self._conversation, after=after, wait_s=_WAIT_S)
            except BystanderError as error:
                _log.warning("The decisions of %s cannot be heard: %s", self._conversation, error)
                await asyncio.sleep(_RETRY_S)
                continue
            for one in found:
                after = one.sequence
                began, state = self._began.get(one.interaction), _DECIDED[one.kind]
                if began is None:
                    self._early[one.interaction] = state, one.reason
                else:
                    self._on_decided(began, state, one.reason)


def _state(interaction: Interaction) -> InteractionState:
    return _BEGUN[interaction.state]
