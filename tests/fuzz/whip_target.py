"""Sequences of what publishers do to one recording, behind HTTP: offers, fragments, leaving, and media."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from media.handover.render_queue import RenderQueue
from media.sdp.transport import Fingerprint, IceParameters, LocalTransport
from media.webrtc import peer as peers
from media.webrtc.ice import usable_candidate
from media.webrtc.publisher_session import PublisherSession
from media.webrtc.publishers import Publishers
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import PUBLISHERS_PER_RECORDING_MAX, UNCONNECTED_SESSIONS_MAX
from recorder.kernel.media import IceServer, Publisher, SourceKind
from tests.fuzz.pieces import Pieces

STEPS_MAX = 32
STATES = ("connected", "disconnected", "failed", "closed")
OFFERS = Path(__file__).parents[1] / "corpus" / "sdp_offer"


class Wireless:
    """A MediaTransport without sockets: what it is told is taken, nothing is sent."""

    round_trip_ns = 1

    def __init__(self, *, events: Any, **more: Any) -> None:
        self.events = events

    async def gather(self) -> LocalTransport:
        return LocalTransport(IceParameters("ours", "o" * 22), (Fingerprint("sha-256", "AB:CD"),), ())

    def start(self, remote: IceParameters, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Whoever drives this says how it went."""

    async def restart(self, remote: IceParameters, ice_servers: list[IceServer]) -> LocalTransport:
        return await self.gather()

    async def add_remote_candidate(self, value: str) -> None:
        usable_candidate(value)

    def send_rtcp(self, data: bytes) -> None:
        """Nobody is there."""

    def read(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """There is nothing to close."""


class Recording:
    """The publishers of a recording and what may be done to them, by number."""

    def __init__(self) -> None:
        self.transports: list[Wireless] = []
        self.clock = ManualClock()
        self.publishers = Publishers(
            inbox=RenderQueue(),
            clock=self.clock,
            pictures=True,
            make_peer=self._peer,
            on_connection_failed=lambda publisher, reason: None,
        )
        self._numbers = 0
        self._actions: tuple[Callable[[int, bytes], Awaitable[None]], ...] = (
            self._publish,
            self._trickle,
            self._unpublish,
            self._state,
            partial(self._receive, "rtp"),
            partial(self._receive, "rtcp"),
        )

    async def perform(self, how: int, data: bytes) -> None:
        """The low three bits say what is done, the others by or to whom."""
        self.clock.advance(0.02)
        await self._actions[(how & 7) % len(self._actions)](how >> 3, data)

    async def _publish(self, who: int, data: bytes) -> None:
        self._numbers += 1
        publisher = Publisher(
            participant=f"part{who & 3}", name="x", role=Role.VISITOR, source=SourceKind.CAMERA
        )
        await self.publishers.publish(f"s{self._numbers}", publisher, _text(data) or _offers()[who % 4])

    async def _trickle(self, who: int, data: bytes) -> None:
        etag, _, fragment = _text(data).partition("\n")
        await self.publishers.session(self._key(who)).peer.trickle(fragment, etag or None)

    async def _unpublish(self, who: int, data: bytes) -> None:
        await self.publishers.unpublish(self._key(who))

    async def _state(self, who: int, data: bytes) -> None:
        if self.transports:
            events = self.transports[who % len(self.transports)].events
            events.state_changed(STATES[(data or b"\0")[0] % 4], "fuzzed")

    async def _receive(self, kind: str, who: int, data: bytes) -> None:
        if self.transports:
            events = self.transports[who % len(self.transports)].events
            now_ns = self.clock.monotonic_ns()
            if kind == "rtp":
                events.rtp_received(bytearray(data), len(data), now_ns)
            else:
                events.rtcp_received(data, now_ns)

    def _key(self, who: int) -> str:
        return f"s{1 + who % max(1, self._numbers)}"

    def _peer(self, session: PublisherSession) -> peers.Peer:
        return peers.Peer(
            sink=session,
            clock=self.clock,
            ice_servers=[],
            on_state=session.state_changed,
            on_round_trip=session.round_trip_measured,
        )


def whip_sequence(data: bytes) -> None:
    """Nothing but refusals comes back, and there are never more sessions than may be."""
    _loop().run_until_complete(_sequence(data))


async def _sequence(data: bytes) -> None:
    recording = Recording()

    def wireless(**arguments: Any) -> Wireless:
        recording.transports.append(Wireless(**arguments))
        return recording.transports[-1]

    with patch.object(peers, "MediaTransport", wireless):
        for (how, piece), _ in zip(Pieces(data), range(STEPS_MAX), strict=False):
            try:
                await recording.perform(how, piece)
            except BystanderError as refusal:
                assert refusal.status < 500 or refusal.status == 503, refusal
            assert len(list(recording.publishers)) <= UNCONNECTED_SESSIONS_MAX + PUBLISHERS_PER_RECORDING_MAX
        await recording.publishers.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


@cache
def _offers() -> list[str]:
    return [
        (OFFERS / name).read_text()
        for name in ("chromium", "chromium-simulcast", "chromium", "chromium-simulcast")
    ]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()
