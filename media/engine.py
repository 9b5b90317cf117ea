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

from media.handover.render_queue import RenderQueue
from media.render.thread import Ending, RenderThread
from media.webrtc.peer import Peer
from media.webrtc.publisher_session import PeerConnection, PublisherSession
from media.webrtc.read_interval import batch_s
from media.webrtc.udp import BEAT_S, next_beat
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.limits import PUBLISHERS_PER_RECORDING_MAX
from recorder.kernel.media import Fragment, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan, RecordingState, RecordingType, Statistics

BATCH_S_BEGINNING = 0.04  # here received frames are in a hurry: "recording" is said when media is there
CLOSE_S_MAX = 2.0  # a TURN server that does not answer must not keep a recording from ending
DURATION_MARGIN_S = 60.0  # a server that is there ends the recording first, and knows why
CATCH_UP = 2  # so much faster than it passes, time is told after a hold-up

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a recording came to."""

    duration_us: int
    bytes: int


MakePeer = Callable[[PublisherSession], PeerConnection]


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
        self._batch_s = batch_s(None if plan.type is RecordingType.AUDIO else plan.canvas)
        self._on_event = on_event
        self._clock = clock
        self._make_peer = make_peer or self._peer
        self._audio_only = plan.type is RecordingType.AUDIO
        self._sessions: dict[str, PublisherSession] = {}
        self._dropped_before: Counter[str] = Counter()  # of sessions that are gone
        self._inbox = inbox or RenderQueue()
        self._thread = RenderThread(
            plan, inbox=self._inbox, write=write, deliver=self._deliver, failed=self._end
        )

    # --- on the event loop ----------------------------------------------------------------------------
    async def start(self) -> None:
        """Open the encoders and begin to wait for media; BystanderError when they cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._closing: set[asyncio.Task[None]] = set()
        self._heard, self._heard_ns = 0, self._clock.monotonic_ns()
        self._stopping = False
        await self._thread.start()
        self._ticker = self._loop.create_task(self._tick())
        self._ticker.add_done_callback(self._ticked)

    async def publish(self, session: str, publisher: Publisher, offer: str) -> tuple[str, str]:
        """Take a new publisher; return (answer SDP, entity tag).

        Raises BystanderError: recording_ended (409), session_exists (409), too_many_publishers (503), and
        what media.webrtc.peer.Peer.accept raises.
        """
        self._must_run()
        if session in self._sessions:
            raise caller_error("session_exists", "This session was published already.", status=409)
        if len(self._sessions) >= PUBLISHERS_PER_RECORDING_MAX:
            raise BystanderError(
                "too_many_publishers", "All seats are taken.", fault=Fault.RESOURCE, status=503
            )
        taken = PublisherSession(
            session,
            publisher,
            inbox=self._inbox,
            clock=self._clock,
            pictures=not self._audio_only,
            on_over=self._over,
        )
        taken.peer = self._make_peer(taken)
        self._sessions[session] = taken
        try:
            return await taken.peer.accept(offer)
        except BaseException:
            self._sessions.pop(session, None)
            taken.leave()
            await taken.peer.close()
            raise

    async def trickle(self, session: str, fragment: str, etag: str | None) -> tuple[str, str] | None:
        """Candidates or an ICE restart for a publisher; see media.webrtc.peer.Peer.trickle."""
        return await self._session(session).peer.trickle(fragment, etag)

    async def unpublish(self, session: str) -> None:
        """End a publisher's session; what it sent before is recorded."""
        leaving = self._session(session)
        del self._sessions[session]
        await self._close([leaving])

    async def pause(self) -> None:
        """Leave out what comes from now on, until `resume`; not built yet (501 not_supported)."""
        raise _not_supported("pause")

    async def resume(self) -> None:
        """Record again after `pause`; not built yet (501 not_supported)."""
        raise _not_supported("resume")

    async def stop(self) -> Summary:
        """Record everything that was received, write the last fragment, end; the same answer every time.

        Raises what `write` raised while draining: then the end of what was received is not in the recording.
        """
        if not self._stopping:
            self._stopping = True
            self._ticker.cancel()
            sessions, self._sessions = list(self._sessions.values()), {}
            await self._close(sessions)
            self._inbox.send(self._clock.monotonic_ns(), {}, final=True)
        await self._thread.finished()
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
        dropped = Counter(renderer.dropped()) + self._inbox.dropped + self._dropped_before
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
            participants=[session.statistics() for session in self._sessions.values()],
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
            ice_servers=plan.ice_servers,
            policy=plan.ice_transport_policy,
            bind_host=plan.bind_host,
            reorder_wait_s=plan.reorder_wait_s,
            on_state=session.state_changed,
            on_round_trip=session.round_trip_measured,
        )

    @property
    def _begun(self) -> bool:
        return self._thread.renderer is not None and self._thread.renderer.begun

    def _must_run(self) -> None:
        if self._stopping or self._ended.done():
            raise caller_error("recording_ended", "The recording takes no more publishers.", status=409)

    def _session(self, key: str) -> PublisherSession:
        session = self._sessions.get(key)
        if session is None:
            raise not_found("session")
        return session

    def _over(self, key: str) -> None:
        """A peer failed or closed by itself: free it; its seat is cleared already."""
        session = self._sessions.pop(key, None)
        if session is not None:
            self._begin_closing(session)

    async def _close(self, sessions: list[PublisherSession]) -> None:
        """Close the peers, then clear the seats: what waited for a retransmission comes as they close."""
        closing = [self._begin_closing(session) for session in sessions]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S_MAX)
        for session in sessions:
            session.leave()

    def _begin_closing(self, session: PublisherSession) -> asyncio.Task[None]:
        self._dropped_before.update(session.statistics().dropped)
        task = self._loop.create_task(session.peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a peer did not close cleanly", exc_info=error)

    async def _tick(self) -> None:
        due = self._loop.time()
        told_ns = self._clock.monotonic_ns()
        while True:
            interval = self._batch_s if self._begun else BATCH_S_BEGINNING
            due = max(due + interval, self._loop.time())
            if self._begun:
                due = next_beat(due - BEAT_S / 2)  # in one wake-up with the reading of the sockets
            await asyncio.sleep(due - self._loop.time())
            now_ns = self._clock.monotonic_ns()
            # When this loop was held up, packets wait in the sockets: time goes on for the renderer only as
            # they are read, or they would come too late.
            told_ns = min(now_ns, told_ns + round(interval * CATCH_UP * 1e9))
            blocked: dict[str, int] = {}
            for session in self._sessions.values():
                blocked.update(session.blocked())
            self._inbox.send(told_ns, blocked)
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
            self._end(Ending(EndReason.ABORT_TIMEOUT, None if self._begun else "no_media"))
        elif self.clock_s() > self._plan.duration_s_max + DURATION_MARGIN_S:
            self._end(Ending(EndReason.ABORT_TIMEOUT))

    def _end(self, ending: Ending) -> None:
        if not self._ended.done() and not self._stopping:
            self._ticker.cancel()
            self._inbox.close()
            duration_s = self._summary().duration_us / 1e6
            detail = {"reason": ending.reason.value, "failure": ending.failure}
            self._on_event(MediaEvent(kind="ended", at_s=duration_s, detail=detail))
            self._ended.set_result(ending)

    def _deliver(self, events: list[MediaEvent], keyframes: set[str]) -> None:
        for event in events:
            self._on_event(event)
        for session in self._sessions.values():
            for key in keyframes:
                session.keyframe_missing(key)

    def _summary(self) -> Summary:
        if self._thread.renderer is None:
            return Summary(duration_us=0, bytes=0)
        written = self._thread.renderer.fragmenter
        return Summary(duration_us=written.written_us, bytes=written.bytes_written)


def _not_supported(what: str) -> BystanderError:
    return BystanderError("not_supported", f"A recording cannot {what} yet.", fault=Fault.SERVER, status=501)
