"""One publisher on the event loop: its peer, and the way of its frames to the render thread."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from media.handover.encoded_frame import EncodedFrame, SenderReport, StreamControl
from media.handover.render_queue import (
    Joined,
    Left,
    RenderQueue,
    Reported,
    RoundTripMeasured,
    StreamEnded,
    StreamStarted,
    TimelineChanged,
)
from recorder.kernel.clock import Clock
from recorder.kernel.media import IceServer, ParticipantStatistics, Publisher


class Counters(Protocol):
    """What a peer counts; see recorder.kernel.media.ParticipantStatistics."""

    packets: int
    bytes: int
    lost: int
    recovered: int
    frames: int
    dropped: dict[str, int]


class PeerConnection(Protocol):
    """What the engine needs of media.webrtc.peer.Peer."""

    @property
    def statistics(self) -> Counters: ...
    async def accept(self, offer: str) -> tuple[str, str]: ...
    async def offer(self) -> str: ...
    async def answered(self, answer: str) -> None: ...
    async def renegotiate(
        self, offer: str, ice_servers: list[IceServer] | None = None
    ) -> tuple[str, str]: ...
    async def trickle(
        self, fragment: str, etag: str | None, ice_servers: list[IceServer] | None = None
    ) -> tuple[str, str] | None: ...
    async def close(self) -> None: ...


class PublisherSession:
    """The EncodedSink of one WHIP session; every call on the event loop, none of them blocks.

    `on_state` is called with what the peer says of its connection, and why.
    """

    def __init__(
        self,
        key: str,
        publisher: Publisher,
        *,
        inbox: RenderQueue,
        clock: Clock,
        pictures: bool,
        make_peer: Callable[["PublisherSession"], PeerConnection],
        on_state: Callable[["PublisherSession", str, str | None], None],
    ) -> None:
        self.key = key
        self.publisher = publisher
        self.streams: dict[str, StreamControl] = {}
        self._inbox = inbox
        self._clock = clock
        self._pictures = pictures
        self._on_state = on_state
        self.connected = False
        self._state: tuple[str, str | None] = ("new", None)
        self._state_changed = asyncio.Event()  # another one for each change
        self._joined = False
        self._left = False
        self._round_trip: RoundTripMeasured | None = None  # that was measured before there was a seat
        self.peer = make_peer(self)

    # --- EncodedSink ----------------------------------------------------------------------------------
    def stream_started(self, stream: StreamControl, *, video: bool) -> None:
        """A stream began: pictures begin with a key frame, so one is asked for at once."""
        if video and not self._pictures:
            return
        self.join()
        self.streams[stream.key] = stream
        self._inbox.put(StreamStarted(self.key, stream.key, video, self._clock.monotonic_ns()))
        if video:
            stream.request_keyframe()

    def frame(self, stream: StreamControl, frame: EncodedFrame) -> None:
        """A frame on its way; for one that found no room a key frame is needed."""
        if stream.key not in self.streams:
            return  # pictures of a recording that has none
        taken = self._inbox.put_frame(stream.key, frame, self._clock.monotonic_ns())
        if frame.codec.is_video and not taken:
            stream.request_keyframe()

    def sender_report(self, stream: StreamControl, report: SenderReport) -> None:
        """What the sender says about its clocks."""
        if stream.key in self.streams:
            self._inbox.put(Reported(stream.key, report))

    def source_changed(self, stream: StreamControl) -> None:
        """A new SSRC counts anew."""
        if stream.key in self.streams:
            self._inbox.put(TimelineChanged(stream.key))

    def stream_ended(self, stream: StreamControl) -> None:
        """The stream is over, its session goes on."""
        if self.streams.pop(stream.key, None) is not None:
            self._inbox.put(StreamEnded(stream.key, self._clock.monotonic_ns()))

    def keyframe_missing(self, key: str) -> None:
        """The renderer has no key frame of this stream, as far as it has got."""
        stream = self.streams.get(key)
        if stream is not None and not self._inbox.brings_keyframe(key):
            stream.request_keyframe()

    # --- the session's own life -----------------------------------------------------------------------
    def state_changed(self, state: str, reason: str | None = None) -> None:
        """What the peer says about its connection, and why it is so."""
        match state:
            case "connected":
                self.connected = True
                self.join()
            case "failed" | "closed":
                self.connected = False
                self.leave()
            case "disconnected":
                pass  # it may come back; until then its last picture and silence are recorded
            case _:
                raise ValueError(f"unknown connection state {state!r}")
        self._state = (state, reason)
        self._state_changed.set()
        self._state_changed = asyncio.Event()
        self._on_state(self, state, reason)

    async def state_other_than(self, known: str, timeout_s: float) -> tuple[str, str | None]:
        """Its connection's state and the reason, once it is another one, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._state[0] == known:
                    await self._state_changed.wait()
        return self._state

    def round_trip_measured(self, round_trip_ns: int) -> None:
        """What the peer says about its path."""
        measured = RoundTripMeasured(self.key, round_trip_ns, self._clock.monotonic_ns())
        if self._joined:
            self._inbox.put(measured)
        else:
            self._round_trip = measured

    def join(self) -> None:
        """Take a seat on the canvas, once."""
        if not self._joined:
            self._joined = True
            self._inbox.put(Joined(self.key, self.publisher, self._clock.monotonic_ns()))
            if self._round_trip is not None:
                self._inbox.put(self._round_trip)

    def leave(self) -> None:
        """Clear the seat, once; what was received before is rendered."""
        if self._joined and not self._left:
            self._left = True
            self._inbox.put(Left(self.key, self._clock.monotonic_ns()))
        self.streams.clear()

    def blocked(self) -> dict[str, int]:
        """Since when which streams wait for a missing packet."""
        return {
            key: since
            for key, stream in self.streams.items()
            if (since := stream.blocked_since_ns) is not None
        }

    def statistics(self) -> ParticipantStatistics:
        """What was received."""
        counters = self.peer.statistics
        return ParticipantStatistics(
            participant=self.publisher.participant,
            source=self.publisher.source,
            packets=counters.packets,
            bytes=counters.bytes,
            lost=counters.lost,
            recovered=counters.recovered,
            frames=counters.frames,
            dropped=dict(counters.dropped),
        )
