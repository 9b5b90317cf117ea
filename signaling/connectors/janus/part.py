"""One connection to a publisher's streams of one source: its offers answered, its state watched."""

import asyncio

import msgspec

from recorder.kernel.connectors.source import FeedId
from recorder.kernel.connectors.status import ConnectorStream, StreamState
from recorder.kernel.media import Publisher
from signaling.connectors.connector import Intake
from signaling.connectors.janus.video_room import Subscription, VideoRoom
from signaling.connectors.tasks import first_of


class FeedPart:
    """The streams of a feed that show one thing; which they are may change while they are received."""

    def __init__(
        self,
        feed: FeedId,
        mids: list[str],
        stream: ConnectorStream,
        publisher: Publisher,
        room: VideoRoom,
        intake: Intake,
    ) -> None:
        self._feed = feed
        self._mids = mids
        self._changed = asyncio.Event()
        self._stream = stream
        self._publisher = publisher
        self._room = room
        self._intake = intake
        self._connected = False

    def want(self, mids: list[str]) -> None:
        """The feed has these of this source now."""
        if mids != self._mids:
            self._mids = mids
            self._changed.set()

    async def receive(self) -> bool:
        """Until the connection has ended; whether there ever was one."""
        self._connected = False
        self._tell(StreamState.CONNECTING)
        subscription = await self._room.subscribe(self._feed, self._mids)
        try:
            session = await self._intake.publish(self._publisher, subscription.offer)
            try:
                await subscription.start(session.sdp)
                return await first_of(
                    [
                        self._follow_offers(session.id, subscription),
                        self._follow_state(session.id, subscription),
                        self._follow_mids(subscription),
                    ]
                )
            finally:
                await self._intake.unpublish(session.id)
        finally:
            await subscription.close()

    async def _follow_offers(self, session: str, subscription: Subscription) -> bool:
        """Streams come and go, and ICE is restarted, in the same session."""
        while (offer := await subscription.next_offer()) is not None:
            answer = await self._intake.renegotiate(session, offer)
            await subscription.start(answer.sdp)
        return self._connected

    async def _follow_state(self, session: str, subscription: Subscription) -> bool:
        known = "new"
        while True:
            state, reason = await self._intake.state(session, known)
            if state == "connected" != known:
                self._connected = True
                self._tell(StreamState.CONNECTED)
            elif state == "disconnected" != known:
                self._tell(StreamState.CONNECTING, reason)
                await subscription.restart_ice()
            elif state in ("failed", "closed"):
                return self._connected
            known = state

    async def _follow_mids(self, subscription: Subscription) -> bool:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await subscription.change_to(self._mids)

    def _tell(self, state: StreamState, reason: str | None = None) -> None:
        self._intake.tell(msgspec.structs.replace(self._stream, state=state, reason=reason))
