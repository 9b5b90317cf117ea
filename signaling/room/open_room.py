"""One room that is open: the pure core, its sockets, its timer, and what it asks of the control plane.

The core says what is to be done; here it is done, and what comes of it is told to the core.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

import msgspec

from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceServer
from recorder.kernel.message import ConsentAnswer
from signaling.ports import Caller
from signaling.room.chat_log import ChatLog
from signaling.room.connection import Connection
from signaling.room.core.effects import (
    CallBegan,
    CallEnded,
    Close,
    ConsentAnswered,
    Effect,
    Now,
    RecordingUnwanted,
    RecordingWanted,
    Send,
    ShareBegan,
    ShareEnded,
    Spoken,
)
from signaling.room.core.messages import (
    ChatLine,
    ClientMessage,
    CloseCode,
    InteractionState,
    Publish,
    ServerMessage,
)
from signaling.room.core.room import Room
from signaling.room.interactions import Interactions
from signaling.room.noted_acts import CONSENT, START, STOP, NotedActs
from signaling.room.terms import Guest, RoomTerms

_log = logging.getLogger(__name__)
_WATCH_RETRY_S_FIRST = 0.5
_WATCH_RETRY_S_MAX = 15.0


class OpenRoom:
    """One conversation's room while somebody has a seat in it; `finished` is called once it is empty."""

    def __init__(
        self,
        conversation: str,
        terms: RoomTerms,
        first: Guest,
        finished: Callable[[], None],
    ) -> None:
        """What `first` brings of settings and history holds as long as this room is open."""
        self._conversation = conversation
        self._ports = terms.ports
        self._clock = terms.clock
        self._finished = finished
        self._core = Room(terms.policy.within(first.counts), terms.links, first.history)
        self._acts = NotedActs(terms.ports.audit, terms.clock, conversation)
        self._chat_log = ChatLog(conversation, terms.ports.messages)
        self._connections: dict[int, Connection] = {}
        self._participants: dict[int, Participant] = {}  # by the same number
        self._numbers = itertools.count(1)
        self._interactions = Interactions(
            conversation, terms.ports.conversations, terms.ports.decisions, self._decided
        )
        self._stopping: set[str] = set()
        self._answering = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._watching = self._task(self._watch())
        self._watching_files = self._task(self._watch_files())

    def enter(self, connection: Connection, guest: Guest, ice_servers: list[IceServer]) -> int:
        """Seat this participant; returns the number that stands for the connection from now on."""
        number = next(self._numbers)
        self._connections[number] = connection
        self._participants[number] = guest.participant
        entered = self._core.enter(
            number,
            guest.participant,
            guest.instance,
            ice_servers=ice_servers,
            answer=guest.answer,
            services=guest.services,
            now=self._now(),
        )
        self._apply(entered)
        return number

    def received(self, number: int, message: ClientMessage) -> None:
        self._apply(self._core.received(number, message, self._now()))

    def lost(self, number: int) -> None:
        """The socket of this connection is gone."""
        self._connections.pop(number, None)
        self._participants.pop(number, None)
        self._apply(self._core.lost(number, self._now()))

    def is_seated(self, participant: str) -> bool:
        """Whether they are here, with a page that hears."""
        return self._core.is_seated(participant)

    def heard(self, line: ChatLine) -> None:
        """Somebody said this by the API."""
        self._apply(self._core.heard(line))

    def services_changed(self) -> None:
        """What needs the store was switched off, or on again."""
        self._apply(self._core.services_changed())

    def consent_kept(self, participant: str, answer: ConsentAnswer) -> None:
        """This answer counts from now on."""
        self._apply(self._core.consent_kept(participant, answer))

    def expel(self, participant: str) -> None:
        """Their token was replaced."""
        self._apply(self._core.expel(participant, CloseCode.UNAUTHORIZED, self._now()))

    def end(self, code: CloseCode) -> None:
        """Everybody out."""
        self._apply(self._core.end(code, self._now()))

    def _decided(self, began: CallBegan | ShareBegan, state: InteractionState, reason: str | None) -> None:
        self._apply(self._core.interaction_decided(began, state, self._now(), reason))

    async def closed(self) -> None:
        """Wait until the control plane has been told of every interaction's end."""
        await asyncio.gather(self._interactions.closed(), self._chat_log.closed())

    # --- effects -----------------------------------------------------------------------------------
    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._do(effect)
        self._schedule_expiry()
        if self._core.is_empty:
            self._finish()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._connections[effect.connection].send(self._personal(effect))
            case Close():
                self._connections.pop(effect.connection).close(effect.code)
            case CallBegan() | CallEnded() | ShareBegan() | ShareEnded():
                self._interactions.put(effect)
            case RecordingWanted():
                self._task(self._start_recording(effect.participant))
            case RecordingUnwanted():
                if effect.recording not in self._stopping:
                    self._stopping.add(effect.recording)
                    self._task(self._stop_recording(effect.recording, effect.participant))
            case Spoken():
                self._chat_log.put(effect.participant, effect.text)
            case ConsentAnswered():
                self._task(self._keep_consent(effect.participant, effect.answer))
            case _:
                assert_never(effect)

    def _personal(self, effect: Send) -> ServerMessage:
        """An invitation carries a token that publishes as whom it is sent to, and as nobody else."""
        message = effect.message
        if not isinstance(message, Publish):
            return message
        participant = self._participants[effect.connection]
        token = self._ports.entry_points.token_for(message.recording, participant)
        return msgspec.structs.replace(message, token=token)

    def _schedule_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        deadline_ns = self._core.deadline_ns()
        if deadline_ns is None:
            self._expiry = None
            return
        delay_s = max(0.0, (deadline_ns - self._clock.monotonic_ns()) / 1e9)
        self._expiry = asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _expire(self) -> None:
        self._apply(self._core.expire(self._now()))

    def _finish(self) -> None:
        if not self._watching.cancelling():  # a start that returns after everybody left comes by here again
            self._watching.cancel()
            self._watching_files.cancel()
            self._interactions.close()
            self._chat_log.close()
            self._finished()

    # --- recordings --------------------------------------------------------------------------------
    async def _watch(self) -> None:
        retry_s = _WATCH_RETRY_S_FIRST
        while True:
            try:
                async for recording in self._ports.recordings.watch(self._conversation):
                    retry_s = _WATCH_RETRY_S_FIRST
                    self._apply(self._core.recording_changed(recording, self._now()))
            except BystanderError as error:
                _log.warning("Watching the recordings of %s failed: %s", self._conversation, error)
            except Exception:  # noqa: BLE001 - a room that heard nothing more would announce what is not true
                _log.exception("Watching the recordings of %s failed.", self._conversation)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _WATCH_RETRY_S_MAX)

    async def _watch_files(self) -> None:
        async for file in self._ports.files.watch(self._conversation):
            self._apply(self._core.file_changed(file))

    async def _start_recording(self, participant: Participant) -> None:
        try:
            recording = await self._ports.recordings.start(self._conversation, started_by=Caller(participant))
        except BystanderError as error:
            self._acts.note(START, participant, error=error)
            self._refused(participant, error)
        else:
            self._acts.note(START, participant, recording=recording.id)
            self._apply(self._core.recording_started(recording, self._now()))

    async def _stop_recording(self, recording: str, participant: Participant) -> None:
        try:
            await self._ports.recordings.stop(recording, stopped_by=Caller(participant))
        except BystanderError as error:
            self._acts.note(STOP, participant, recording=recording, error=error)
            self._refused(participant, error)
        else:
            self._acts.note(STOP, participant, recording=recording)
        finally:
            self._stopping.discard(recording)

    async def _keep_consent(self, participant: Participant, answer: ConsentAnswer) -> None:
        """In the order in which they came: the last one counts."""
        async with self._answering:
            try:
                await self._ports.consents.answer(
                    Caller(participant), self._conversation, participant.id, answer
                )
            except BystanderError as error:
                self._acts.note(CONSENT, participant, error=error)
                self._refused(participant, error)
            else:
                self._acts.note(CONSENT, participant)
                self.consent_kept(participant.id, answer)

    def _refused(self, participant: Participant, error: BystanderError) -> None:
        self._apply(self._core.recording_refused(participant.id, error.code, error.detail, self._now()))

    def _now(self) -> Now:
        return Now(self._clock.monotonic_ns(), self._clock.utc_now())

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task of the room of %s failed.", self._conversation, exc_info=error)
