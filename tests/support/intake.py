"""A recording as connectors see it: every session is a real peer that counts its frames."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from media.plain_rtp.peer import PlainPeer
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.connectors.status import ConnectorStream
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.media import PublishedSession, Publisher, SourceKind
from tests.support.receiving import CountingSink

WAIT_S = 20.0
LOOK_S = 0.02


class States:
    """The states that a connection goes through."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str | None]] = [("new", None)]

    def changed(self, state: str, reason: str | None) -> None:
        self.all.append((state, reason))

    async def other_than(self, known: str) -> tuple[str, str | None]:
        while self.all[-1][0] == known:  # noqa: ASYNC110 - as simple as can be
            await asyncio.sleep(LOOK_S)
        return self.all[-1]


@dataclass
class Taken:
    """One session."""

    publisher: Publisher
    peer: Peer | PlainPeer
    sink: CountingSink
    states: "States"
    offers: int = 1

    @property
    def who(self) -> tuple[str, SourceKind]:
        return self.publisher.name, self.publisher.source


@dataclass
class ReceivingIntake:
    """Fulfils signaling.connectors.connector.Intake."""

    connections: int = 0
    streams: dict[str, ConnectorStream] = field(default_factory=dict)
    told: list[ConnectorStream] = field(default_factory=list)
    sessions: dict[str, Taken] = field(default_factory=dict)
    ended: list[Taken] = field(default_factory=list)
    refusal: BystanderError | None = None

    def connected(self) -> None:
        self.connections += 1

    def tell(self, stream: ConnectorStream) -> None:
        self.streams[stream.id] = stream
        self.told.append(stream)

    def forget(self, stream: str) -> None:
        self.streams.pop(stream, None)

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession:
        if self.refusal is not None:
            raise self.refusal
        sink, session, states = CountingSink(), new_id("ses"), States()
        peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[], on_state=states.changed)
        sdp, etag = await peer.accept(offer)
        self.sessions[session] = Taken(publisher, peer, sink, states)
        return PublishedSession(id=session, sdp=sdp, etag=etag)

    async def offer(self, publisher: Publisher) -> PublishedSession:
        if self.refusal is not None:
            raise self.refusal
        sink, session, states = CountingSink(), new_id("ses"), States()
        peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[], on_state=states.changed)
        offer = await peer.offer()
        self.sessions[session] = Taken(publisher, peer, sink, states)
        return PublishedSession(id=session, sdp=offer, etag="")

    async def answered(self, session: str, answer: str) -> None:
        await self.sessions[session].peer.answered(answer)

    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        sink, session, states = CountingSink(), new_id("ses"), States()
        peer = PlainPeer(
            source=source,
            address=address,
            sink=sink,
            clock=SystemClock(),
            reorder_wait_s=1.0,
            on_state=states.changed,
        )
        await peer.open()
        self.sessions[session] = Taken(publisher, peer, sink, states)
        return session

    async def renegotiate(self, session: str, offer: str) -> PublishedSession:
        taken = self.sessions[session]
        taken.offers += 1
        sdp, etag = await taken.peer.renegotiate(offer)
        return PublishedSession(id=session, sdp=sdp, etag=etag)

    async def state(self, session: str, other_than: str) -> tuple[str, str | None]:
        return await self.sessions[session].states.other_than(other_than)

    async def unpublish(self, session: str) -> None:
        taken = self.sessions.pop(session)
        self.ended.append(taken)
        await taken.peer.close()

    # --- what tests look at ----------------------------------------------------------------------------
    def names(self) -> list[tuple[str, SourceKind]]:
        """Whoever is taken now."""
        return sorted(one.who for one in self.sessions.values())

    def receives(self, name: str, *kinds: str) -> bool:
        """Whether frames of these kinds have come from somebody who is taken now."""
        return any(
            one.publisher.name == name and all(one.sink.frames[kind] for kind in kinds)
            for one in self.sessions.values()
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that will be so."""
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Free what a test left."""
        for session in list(self.sessions):
            await self.unpublish(session)
