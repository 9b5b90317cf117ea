"""One recording's media, from publishers to fragments: what a worker sees of this package.

The event loop receives and hands over a batch a few times a second to the render thread
(media.render.thread), which decodes, mixes, composes, encodes and writes. Nothing on the loop waits for a
codec or a disk.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from media.handover.render_queue import RenderQueue
from media.plain_rtp.peer import PlainPeer
from media.render.thread import Ending, RenderThread
from media.webrtc.network.udp import BEAT_S, next_beat
from media.webrtc.peer import Peer
from media.webrtc.publisher_session import PeerConnection, PublisherSession
from media.webrtc.publishers import MakePeer, Publishers
from media.webrtc.read_interval import batch_s
from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.errors import caller_error
from recorder.kernel.media import Fragment, IceServer, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan, RecordingState, RecordingType, Statistics

BATCH_S_BEGINNING = 0.04  # here received frames are in a hurry: "recording" is said when media is there
DURATION_MARGIN_S = 60.0  # a server that is there ends the recording first, and knows why
SESSION_STATE_S_MAX = 10.0  # how long a change of a connection's state is waited for
CATCH_UP = 2  # so much faster than it passes, time is told after a hold-up

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a recording came to."""

    duration_us: int
    bytes: int


class Engine:
    """Records what is published, until `stop` or until it ends by itself."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        write: Callable[[Fragment], None],
        on_event: Callable[[MediaEvent], None],
        clock: Clock,
        make_peer: MakePeer | None = None,
        inbox: RenderQueue | None = None,
    ) -> None:
        self._plan = plan
        self._ice_servers = plan.ice_servers
        self._network = plan.network
        if plan.bind_host is not None:
            self._network = msgspec.structs.replace(plan.network, interfaces=[plan.bind_host])
        self._batch_s = batch_s(None if plan.type is RecordingType.AUDIO else plan.canvas)
        self._on_event = on_event
        self._clock = clock
        self._inbox = inbox or RenderQueue()
        self._publishers = Publishers(
            inbox=self._inbox,
            clock=clock,
            pictures=plan.type is not RecordingType.AUDIO,
            make_peer=make_peer or self._peer,
            on_connection_failed=self._connection_failed,
        )
        self._thread = RenderThread(
            plan, inbox=self._inbox, write=write, deliver=self._deliver, failed=self._end
        )

    # --- on the event loop ----------------------------------------------------------------------------
    async def start(self) -> None:
        """Open the encoders and begin to wait for media; BystanderError when they cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._heard, self._heard_ns = 0, self._clock.monotonic_ns()
        self._stopping = False
        self._end_said = False
        await self._thread.start()
        self._ticker = self._loop.create_task(self._tick())
        self._ticker.add_done_callback(self._ticked)

    async def publish(self, session: str, publisher: Publisher, offer: str) -> tuple[str, str]:
        """Take a new publisher; return (answer SDP, entity tag).

        Raises BystanderError: recording_ended (409), and what media.webrtc.publishers.Publishers.publish
        raises.
        """
        self._must_run()
        return await self._publishers.publish(session, publisher, offer)

    async def receive_rtp(self, session: str, publisher: Publisher, source: RtpSource, address: str) -> None:
        """Take somebody who sends plain RTP to ports of this address. Raises recording_ended (409) and what
        media.webrtc.publishers.Publishers.receive raises."""
        self._must_run()
        await self._publishers.receive(
            session, publisher, lambda session: self._plain(session, source, address)
        )

    def use_ice_servers(self, servers: list[IceServer]) -> None:
        """Use these, with credentials that are good now, for ICE sessions that begin from now on."""
        self._ice_servers = servers

    async def offer(self, session: str, publisher: Publisher) -> str:
        """Take somebody who answers an offer of ours, which is returned; raises as `publish` does."""
        self._must_run()
        return await self._publishers.offer(session, publisher)

    async def answered(self, session: str, answer: str) -> None:
        """The answer to our offer; see media.webrtc.peer.Peer.answered."""
        await self._publishers.session(session).peer.answered(answer)

    async def renegotiate(self, session: str, offer: str) -> tuple[str, str]:
        """One more offer of a publisher; see media.webrtc.peer.Peer.renegotiate."""
        return await self._publishers.session(session).peer.renegotiate(offer, self._ice_servers)

    async def trickle(self, session: str, fragment: str, etag: str | None) -> tuple[str, str] | None:
        """Candidates or an ICE restart for a publisher; see media.webrtc.peer.Peer.trickle."""
        return await self._publishers.session(session).peer.trickle(fragment, etag, self._ice_servers)

    async def session_state(self, session: str, other_than: str) -> tuple[str, str | None]:
        """A publisher's connection, once its state is another one, or after SESSION_STATE_S_MAX."""
        known = self._publishers.session(session)
        return await known.state_other_than(other_than, SESSION_STATE_S_MAX)

    async def unpublish(self, session: str) -> None:
        """End a publisher's session; what it sent before is recorded."""
        await self._publishers.unpublish(session)

    async def stop(self) -> Summary:
        """Record everything that was received, write the last fragment, end; the same answer every time.

        Raises what `write` raised while draining: then the end of what was received is not in the recording.
        """
        if not self._stopping:
            self._stopping = True
            self._ticker.cancel()
            await self._publishers.close()
            self._inbox.send(self._clock.monotonic_ns(), {}, final=True)
        await self._thread.finished()
        self._say_end()
        failure = self._thread.failure
        if failure is not None and not self._ended.done():
            raise failure
        return self._summary()

    async def wait_ended(self) -> Ending:
        """Return when the recording ended by itself; never after `stop`."""
        return await asyncio.shield(self._ended)

    def statistics(self) -> Statistics:
        """What was done so far; what the process took for it is its worker's to say."""
        renderer = self._thread.renderer
        state = RecordingState.RECORDING if self._begun else RecordingState.READY
        if self._stopping:
            state = RecordingState.FINALIZING
        if renderer is None:
            return Statistics(state=state)
        rendered_s, written_s = renderer.duration_ns / 1e9, renderer.fragmenter.written_us / 1e6
        dropped = Counter(self._thread.dropped) + self._inbox.dropped + self._publishers.dropped()
        return Statistics(
            state=state,
            duration_s=rendered_s,
            bytes_written=renderer.fragmenter.bytes_written,
            fragments=renderer.fragmenter.fragments,
            frames_composed=renderer.frames_composed,
            frames_skipped=renderer.frames_skipped,
            frame_rate_divisor=renderer.effort.frame_rate_divisor,
            thorough=renderer.effort.thorough,
            resolution_divisor=renderer.effort.resolution_divisor,
            spool_lag_s=max(0.0, renderer.on_recording_clock(self._clock.monotonic_ns()) - written_s),
            dropped=dict(dropped),
            participants=self._publishers.statistics(),
        )

    def zero_ns(self) -> int | None:
        """Local time of the recording's zero; None before it is fixed."""
        renderer = self._thread.renderer
        return None if renderer is None else renderer.recording_zero_ns

    def clock_s(self) -> float:
        """Now, on the recording's clock; zero before it began."""
        renderer = self._thread.renderer
        return 0.0 if renderer is None else renderer.on_recording_clock(self._clock.monotonic_ns())

    def _peer(self, session: PublisherSession) -> PeerConnection:
        plan = self._plan
        return Peer(
            sink=session,
            clock=self._clock,
            ice_servers=self._ice_servers,
            policy=plan.ice_transport_policy,
            network=self._network,
            reorder_wait_s=plan.reorder_wait_s,
            stereo=plan.audio_channels > 1,
            on_state=session.state_changed,
            on_round_trip=session.round_trip_measured,
        )

    def _plain(self, session: PublisherSession, source: RtpSource, address: str) -> PlainPeer:
        return PlainPeer(
            source=source,
            address=address,
            sink=session,
            clock=self._clock,
            reorder_wait_s=self._plan.reorder_wait_s,
            on_state=session.state_changed,
        )

    @property
    def _begun(self) -> bool:
        return self._thread.renderer is not None and self._thread.renderer.begun

    def _must_run(self) -> None:
        if self._stopping or self._ended.done():
            raise caller_error("recording_ended", "The recording takes no more publishers.", status=409)

    def _connection_failed(self, publisher: Publisher, reason: str) -> None:
        self._on_event(
            MediaEvent(
                kind="connection_failed",
                at_s=self.clock_s(),
                participant=publisher.participant,
                name=publisher.name,
                role=publisher.role,
                source=publisher.source,
                detail={"reason": reason},
            )
        )

    async def _tick(self) -> None:
        due = self._loop.time()
        handed_ns = self._clock.monotonic_ns()
        while True:
            interval = self._batch_s if self._begun else BATCH_S_BEGINNING
            due = max(due + interval, self._loop.time())
            if self._begun:
                due = next_beat(due - BEAT_S / 2)  # in one wake-up with the reading of the sockets
            await asyncio.sleep(due - self._loop.time())
            now_ns = self._clock.monotonic_ns()
            # When this loop was held up, packets wait in the sockets: time goes on for the renderer only as
            # they are read, or they would come too late.
            handed_ns = min(now_ns, handed_ns + round(interval * CATCH_UP * 1e9))
            self._inbox.send(handed_ns, self._publishers.blocked())
            self._keep_bounds(now_ns)

    def _ticked(self, ticker: asyncio.Task[None]) -> None:
        if not ticker.cancelled() and (defect := ticker.exception()) is not None:
            logger.error("receiving failed", exc_info=defect)
            self._end(Ending(EndReason.ABORT_UNEXPECTED, "receiving_failed"))

    def _keep_bounds(self, now_ns: int) -> None:
        """End it where nobody sends any more, or it lasts too long, also while no server looks after it."""
        if self._inbox.offered != self._heard:
            self._heard, self._heard_ns = self._inbox.offered, now_ns
        if now_ns - self._heard_ns > self._plan.no_media_timeout_s * 1e9:
            self._end(Ending(EndReason.ABORT_TIMEOUT, None if self._begun else self._nothing_came()))
        elif self.clock_s() > self._plan.duration_s_max + DURATION_MARGIN_S:
            self._end(Ending(EndReason.ABORT_TIMEOUT))

    def _nothing_came(self) -> str:
        """Why there is no media: nobody tried, or nobody got through."""
        return "publisher_not_connected" if self._publishers.not_connected else "no_media"

    def _end(self, ending: Ending) -> None:
        if not self._ended.done() and not self._stopping:
            self._ticker.cancel()
            self._inbox.close()
            self._ended.set_result(ending)

    def _say_end(self) -> None:
        """Tell of the end once, when all is written and how long it became is known."""
        if self._end_said or not (self._begun or self._ended.done()):
            return
        self._end_said = True
        detail: dict[str, object] = {}
        if self._ended.done():
            ending = self._ended.result()
            detail = {"reason": ending.reason.value, "failure": ending.failure}
        duration_s = self._summary().duration_us / 1e6
        self._on_event(MediaEvent(kind="ended", at_s=duration_s, detail=detail))

    def _deliver(self, events: list[MediaEvent], keyframes: set[str]) -> None:
        for event in events:
            self._on_event(event)
        self._publishers.keyframes_missing(keyframes)

    def _summary(self) -> Summary:
        if self._thread.renderer is None:
            return Summary(duration_us=0, bytes=0)
        written = self._thread.renderer.fragmenter
        return Summary(duration_us=written.written_us, bytes=written.bytes_written)
