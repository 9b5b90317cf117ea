"""Publishers of one recording: their sessions from the offer to the end, and the seats that they take.

A session takes a seat when it is connected. Until then it is one of a bounded number that wait, apart from
the seats: whoever sends offers and nothing else keeps nobody out.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from media.handover.render_queue import RenderQueue
from media.webrtc.publisher_session import PeerConnection, PublisherSession
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.limits import (
    PUBLISHERS_PER_RECORDING_MAX,
    SESSIONS_PER_PARTICIPANT_MAX,
    UNCONNECTED_SESSIONS_MAX,
)
from recorder.kernel.media import ParticipantStatistics, Publisher

CLOSE_S_MAX = 2.0  # a TURN server that does not answer must not keep a recording from ending

logger = logging.getLogger(__name__)

MakePeer = Callable[[PublisherSession], PeerConnection]
T = TypeVar("T")


class ListeningPeer(PeerConnection, Protocol):
    """One with whom nothing is negotiated."""

    async def open(self) -> None: ...


P = TypeVar("P", bound=ListeningPeer)
ConnectionFailed = Callable[[Publisher, str], None]


class Publishers:
    """The sessions of one recording; event loop only.

    `on_connection_failed` is called with the reason when an offer was refused, or a connection could not be
    made or was lost. `not_connected`: somebody tried to publish, and nobody has ever been connected.
    """

    def __init__(
        self,
        *,
        inbox: RenderQueue,
        clock: Clock,
        pictures: bool,
        make_peer: MakePeer,
        on_connection_failed: ConnectionFailed,
    ) -> None:
        self.not_connected = False
        self._inbox = inbox
        self._clock = clock
        self._pictures = pictures
        self._make_peer = make_peer
        self._on_connection_failed = on_connection_failed
        self._sessions: dict[str, PublisherSession] = {}
        self._ever_connected = False
        self._closing: set[asyncio.Task[None]] = set()
        self._dropped_before: Counter[str] = Counter()  # of sessions that are gone

    def __iter__(self) -> Iterator[PublisherSession]:
        return iter(list(self._sessions.values()))

    def session(self, key: str) -> PublisherSession:
        """The session of this key; raises not_found (404)."""
        session = self._sessions.get(key)
        if session is None:
            raise not_found("session")
        return session

    def blocked(self) -> dict[str, int]:
        """Since when which streams wait for a missing packet."""
        return {key: since for session in self for key, since in session.blocked().items()}

    def statistics(self) -> list[ParticipantStatistics]:
        """What was received from those who are here."""
        return [session.statistics() for session in self]

    def dropped(self) -> Counter[str]:
        """What was not taken from those who are gone, by reason."""
        return self._dropped_before

    def keyframes_missing(self, streams: Iterable[str]) -> None:
        """The renderer has no key frame of these streams, as far as it has got."""
        for session in self:
            for stream in streams:
                session.keyframe_missing(stream)

    async def publish(self, key: str, publisher: Publisher, offer: str) -> tuple[str, str]:
        """Take a new publisher; return (answer SDP, entity tag).

        Raises BystanderError: session_exists (409), too_many_sessions (409), too_many_publishers (503), and
        what media.webrtc.peer.Peer.accept raises.
        """
        return await self._admit(key, publisher, self._make_peer, lambda peer: peer.accept(offer))

    async def offer(self, key: str, publisher: Publisher) -> str:
        """Take somebody who answers an offer of ours, which is returned; raises as `publish` does."""
        return await self._admit(key, publisher, self._make_peer, lambda peer: peer.offer())

    async def receive(
        self, key: str, publisher: Publisher, make_peer: Callable[[PublisherSession], P]
    ) -> None:
        """Take somebody with whom nothing is negotiated: `make_peer` makes the one who listens to them.

        Raises as `publish` does, and what the peer's `open` raises.
        """
        listening: list[P] = []

        def make(session: PublisherSession) -> PeerConnection:
            listening.append(make_peer(session))
            return listening[0]

        await self._admit(key, publisher, make, lambda peer: listening[0].open())

    async def _admit(
        self,
        key: str,
        publisher: Publisher,
        make_peer: MakePeer,
        begin: Callable[[PeerConnection], Awaitable[T]],
    ) -> T:
        if key in self._sessions:
            raise caller_error("session_exists", "This session was published already.", status=409)
        self._make_room(publisher)
        session = PublisherSession(
            key,
            publisher,
            inbox=self._inbox,
            clock=self._clock,
            pictures=self._pictures,
            make_peer=make_peer,
            on_state=self._state_changed,
        )
        self._sessions[key] = session
        try:
            return await begin(session.peer)
        except BaseException as error:
            self._sessions.pop(key, None)
            session.leave()
            if isinstance(error, BystanderError):
                self._tell(session, error.code)
            await session.peer.close()
            raise

    async def unpublish(self, key: str) -> None:
        """End a publisher's session; what it sent before is recorded. Raises not_found (404)."""
        leaving = self.session(key)
        del self._sessions[key]
        await self._close([leaving])

    async def close(self) -> None:
        """End all sessions."""
        sessions, self._sessions = list(self._sessions.values()), {}
        await self._close(sessions)

    # --- seats ----------------------------------------------------------------------------------------
    def _make_room(self, publisher: Publisher) -> None:
        """See to it that one more session may wait: of whoever has most of those waiting, one gives way."""
        if sum(session.connected for session in self) >= PUBLISHERS_PER_RECORDING_MAX:
            raise _no_seat()
        own = [s for s in self if s.publisher.participant == publisher.participant]
        if len(own) >= SESSIONS_PER_PARTICIPANT_MAX:
            waiting = [session for session in own if not session.connected]
            if not waiting:
                raise caller_error(
                    "too_many_sessions", "This participant publishes too often at once.", status=409
                )
            self._give_up(waiting[0], "superseded")
        waiting = [session for session in self if not session.connected]
        if len(waiting) >= UNCONNECTED_SESSIONS_MAX:
            counts = Counter(session.publisher.participant for session in waiting)
            most = max(counts.values())
            self._give_up(next(s for s in waiting if counts[s.publisher.participant] == most), "superseded")

    def _state_changed(self, session: PublisherSession, state: str, reason: str | None) -> None:
        """Follow a connection: take a seat with it, and free it when it failed or closed by itself."""
        if state == "connected":
            self._ever_connected, self.not_connected = True, False
            if sum(session.connected for session in self) > PUBLISHERS_PER_RECORDING_MAX:
                self._give_up(session, "too_many_publishers")
        elif state in ("failed", "closed") and self._sessions.get(session.key) is session:
            if state == "failed":
                self._tell(session, reason or "failed")
            del self._sessions[session.key]
            self._begin_closing(session)

    def _give_up(self, session: PublisherSession, reason: str) -> None:
        self._tell(session, reason)
        del self._sessions[session.key]
        session.leave()
        self._begin_closing(session)

    def _tell(self, session: PublisherSession, reason: str) -> None:
        self.not_connected = not self._ever_connected
        participant = session.publisher.participant
        logger.warning("the connection of participant %s failed: %s", participant, reason)
        self._on_connection_failed(session.publisher, reason)

    # --- ending ---------------------------------------------------------------------------------------
    async def _close(self, sessions: list[PublisherSession]) -> None:
        """Close the peers, then clear the seats: what waited for a retransmission comes as they close."""
        closing = [self._begin_closing(session) for session in sessions]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S_MAX)
        for session in sessions:
            session.leave()

    def _begin_closing(self, session: PublisherSession) -> asyncio.Task[None]:
        self._dropped_before.update(session.statistics().dropped)
        task = asyncio.get_running_loop().create_task(session.peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a peer did not close cleanly", exc_info=error)


def _no_seat() -> BystanderError:
    return BystanderError("too_many_publishers", "All seats are taken.", fault=Fault.RESOURCE, status=503)
