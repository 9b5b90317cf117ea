import asyncio
import io
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from aiortc import RTCRtpSender
from aiortc.rtp import RtcpPsfbPacket

from media.check.file import check_file
from media.engine import Ending, Engine
from media.handover.encoded_frame import Codec, EncodedFrame
from media.webrtc.publisher_session import PublisherSession
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import (
    PUBLISHERS_PER_RECORDING_MAX,
    SESSIONS_PER_PARTICIPANT_MAX,
    UNCONNECTED_SESSIONS_MAX,
)
from recorder.kernel.media import Canvas, Fragment, FragmentKind, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan, RecordingState, RecordingType, Written
from tests.support.aiortc_peer import AiortcPeer
from tests.support.encoded_source import opus_packets, video_frames
from tests.support.flashes import examine

ADA = Publisher(participant="ada", name="Ada")
PLAN = RecordingPlan(recording="rec", conversation="conv", canvas=Canvas(width=320, height=180))
PATIENCE_S = 20  # a loaded machine; conditions are met in a fraction of it


class Counters:
    packets = bytes = lost = recovered = frames = 0
    dropped: dict[str, int]

    def __init__(self) -> None:
        self.dropped = {}


class Stream:
    """A StreamControl that counts what is asked of it."""

    blocked_since_ns: int | None = None

    def __init__(self, key: str) -> None:
        self.key = key
        self.keyframes_asked = 0

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1


class ScriptedPeer:
    """Stands for media.webrtc.peer.Peer: the test plays the publisher."""

    def __init__(self, session: PublisherSession) -> None:
        self.session = session
        self.statistics = Counters()
        self.closed = False
        self.held: EncodedFrame | None = None
        self.sound = Stream(f"{session.key}/sound")
        self.video = Stream(f"{session.key}/video")

    async def accept(self, offer: str) -> tuple[str, str]:
        if offer == "bad":
            raise BystanderError("malformed_sdp", "No.", fault=Fault.CALLER, status=400)
        return "answer to " + offer, "etag"

    async def offer(self) -> str:
        return "offer"

    async def answered(self, answer: str) -> None:
        return None

    async def renegotiate(self, offer: str, ice_servers: object = None) -> tuple[str, str]:
        return "another answer to " + offer, "etag"

    async def trickle(
        self, fragment: str, etag: str | None, ice_servers: object = None
    ) -> tuple[str, str] | None:
        return None

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.held is not None:  # what the reorder buffer held back
                self.session.frame(self.sound, self.held)
            for stream in (self.sound, self.video):
                self.session.stream_ended(stream)

    def begin(self) -> None:
        self.session.state_changed("connected")
        self.session.stream_started(self.sound, video=False)
        self.session.stream_started(self.video, video=True)

    def send(self, index: int) -> None:
        """Two packets of sound and one picture: 40 ms."""
        now = SystemClock().monotonic_ns()
        for packet in (2 * index, 2 * index + 1):
            data = opus_packets(1.0, ())[packet % 50]
            self.session.frame(self.sound, EncodedFrame(Codec.OPUS, packet * 960, now, data, True))
        data, key = video_frames(Codec.VP8, (160, 120), 25, 4.0, (), moving=True)[index % 100]
        self.session.frame(self.video, EncodedFrame(Codec.VP8, index * 3600, now, data, key))

    async def call(self, seconds: float) -> None:
        """Send in real time."""
        for index in range(round(seconds * 25)):
            self.send(index)
            await asyncio.sleep(0.04)


class Bench:
    """An engine, what it wrote and said, and the peers that it made."""

    def __init__(self, plan: RecordingPlan, write: Callable[[Fragment], None] | None) -> None:
        self.fragments: list[Fragment] = []
        self.threads: set[str] = set()
        self.events: list[MediaEvent] = []
        self.peers: list[ScriptedPeer] = []
        self._write = write
        self.engine = Engine(
            plan, write=self.write, on_event=self.said, clock=SystemClock(), make_peer=self.make_peer
        )

    def write(self, fragment: Fragment) -> None:
        if self._write is not None:
            self._write(fragment)
        self.threads.add(threading.current_thread().name)
        if not fragment.provisional:
            self.fragments.append(fragment)

    def said(self, event: MediaEvent) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.events.append(event)

    def make_peer(self, session: PublisherSession) -> ScriptedPeer:
        peer = ScriptedPeer(session)
        self.peers.append(peer)
        return peer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the condition belongs to another thread
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench() -> AsyncIterator[Callable[..., "asyncio.Future[Bench]"]]:
    engines: list[Engine] = []

    async def make(plan: RecordingPlan = PLAN, write: Callable[[Fragment], None] | None = None) -> Bench:
        made = Bench(plan, write)
        await made.engine.start()
        engines.append(made.engine)
        return made

    yield make
    for engine in engines:
        await engine.stop()


async def test_a_call_becomes_a_file(bench) -> None:
    made = await bench()
    assert made.engine.statistics().state is RecordingState.READY
    assert made.engine.clock_s() == 0.0
    assert await made.engine.publish("s1", ADA, "offer") == ("answer to offer", "etag")
    (peer,) = made.peers
    peer.begin()
    assert peer.video.keyframes_asked == 1
    await peer.call(1.0)
    await made.until(lambda: len(made.fragments) > 1)  # while it goes on: the first half second is safe
    during = made.engine.statistics()
    assert during.state is RecordingState.RECORDING
    assert during.spool_lag_s < PATIENCE_S
    assert during.duration_s <= made.engine.clock_s() < during.duration_s + PATIENCE_S
    summary = await made.engine.stop()
    assert peer.video.keyframes_asked == 1  # not again for one that waits for its time to be shown
    assert peer.closed
    assert [fragment.kind for fragment in made.fragments[:2]] == [FragmentKind.INIT, FragmentKind.MEDIA]
    assert summary.bytes == sum(len(fragment.data) for fragment in made.fragments)
    found = examine(b"".join(fragment.data for fragment in made.fragments))
    assert found.audio_seconds == pytest.approx(summary.duration_us / 1e6, abs=0.03)
    assert summary.duration_us >= 900_000
    assert made.threads == {"render"}
    kinds = [event.kind for event in made.events]
    assert kinds[0] == "joined"
    assert {"recording_started", "stream_started", "stream_ended", "left", "ended"} <= set(kinds)
    assert await made.engine.stop() == summary


async def test_without_media_it_ends_by_itself(bench) -> None:
    made = await bench(RecordingPlan(recording="r", conversation="c", no_media_timeout_s=0.2))
    async with asyncio.timeout(PATIENCE_S):
        assert await made.engine.wait_ended() == Ending(EndReason.ABORT_TIMEOUT, "no_media")
    with pytest.raises(BystanderError, match="recording_ended"):
        await made.engine.publish("s1", ADA, "offer")
    assert (await made.engine.stop()).bytes == 0


async def test_it_ends_by_itself_once_nobody_sends_any_more(bench) -> None:
    made = await bench(msgspec.structs.replace(PLAN, no_media_timeout_s=0.5))
    await made.engine.publish("s1", ADA, "offer")
    (peer,) = made.peers
    peer.begin()
    await peer.call(1.0)
    async with asyncio.timeout(PATIENCE_S):
        assert await made.engine.wait_ended() == Ending(
            EndReason.ABORT_TIMEOUT, None
        )  # what there was is whole
    assert (await made.engine.stop()).duration_us >= 900_000


async def test_it_ends_by_itself_where_no_server_ends_it(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.engine.DURATION_MARGIN_S", 0.0)
    made = await bench(msgspec.structs.replace(PLAN, duration_s_max=0.5))
    await made.engine.publish("s1", ADA, "offer")
    (peer,) = made.peers
    peer.begin()
    call = asyncio.create_task(peer.call(PATIENCE_S))
    async with asyncio.timeout(PATIENCE_S):
        assert await made.engine.wait_ended() == Ending(EndReason.ABORT_TIMEOUT, None)
    call.cancel()


async def test_another_goes_on_where_one_was_killed(bench) -> None:
    killed = await bench()
    await killed.engine.publish("s1", ADA, "offer")
    killed.peers[0].begin()
    await killed.peers[0].call(1.5)
    await killed.until(lambda: len(killed.fragments) > 1)
    left = killed.fragments.copy()
    zero_ns = killed.engine.zero_ns()
    await asyncio.sleep(0.7)
    written = Written(init_segment=left[0].data, last_fragment=left[-1].data, fragments=len(left) - 1)
    made = await bench(msgspec.structs.replace(PLAN, zero_ns=zero_ns, written=written))
    await made.engine.publish("s2", ADA, "offer")
    made.peers[0].begin()
    await made.peers[0].call(1.0)
    await made.engine.stop()
    assert made.fragments[0].data == left[0].data  # whoever plays it needs no other
    assert made.fragments[1].start_us == left[-1].start_us + left[-1].duration_us
    report = check_file(io.BytesIO(b"".join(fragment.data for fragment in left + made.fragments[1:])))
    assert report.problems == []
    (gap,) = [event for event in made.events if event.kind == "gap"]
    assert gap.at_s == pytest.approx(made.fragments[1].start_us / 1e6, abs=0.03)
    assert 0.7 < gap.detail["length_s"] < 0.7 + 1.5 + PATIENCE_S
    assert made.engine.zero_ns() == zero_ns
    ended = [event for event in made.events if event.kind == "ended"]
    assert ended[-1].at_s > gap.at_s + gap.detail["length_s"] + 0.9


async def test_nothing_happens_after_the_end(bench) -> None:
    made = await bench()
    await made.engine.publish("s1", ADA, "offer")
    (peer,) = made.peers
    peer.begin()
    await peer.call(0.6)
    await asyncio.sleep(0.2)  # they leave a while after they sent last
    summary = await made.engine.stop()
    await made.until(lambda: made.events[-1].kind == "ended")
    assert {"left", "stream_ended"} <= {event.kind for event in made.events}
    assert max(event.at_s for event in made.events) <= summary.duration_us / 1e6


async def test_what_ends_by_itself_says_so_once_and_last(bench) -> None:
    made = await bench(msgspec.structs.replace(PLAN, no_media_timeout_s=1.0))
    await made.engine.publish("s1", ADA, "offer")
    (peer,) = made.peers
    peer.begin()
    await peer.call(0.4)
    async with asyncio.timeout(PATIENCE_S):
        ending = await made.engine.wait_ended()
    summary = await made.engine.stop()
    assert await made.engine.stop() == summary
    await asyncio.sleep(0)
    *before, last = made.events
    assert "ended" not in {event.kind for event in before}
    assert (last.kind, last.at_s) == ("ended", summary.duration_us / 1e6)
    assert last.detail == {"reason": ending.reason.value, "failure": None}
    assert max(event.at_s for event in before) <= last.at_s


class GrowingCounter(Counter[str]):
    """Counts of the render thread, which inserts whenever another thread is in the middle of them."""

    def items(self):
        for item in super().items():
            if threading.current_thread().name != "render":
                self[f"reason {len(self)}"] += 1
            yield item


async def test_statistics_are_told_while_the_render_thread_counts(bench) -> None:
    made = await bench()
    await made.engine.publish("s1", ADA, "offer")
    (peer,) = made.peers
    peer.begin()
    roster = made.engine._thread.renderer._attendance
    await made.until(lambda: len(list(roster.sources())) == 2)
    for source in roster.sources():
        source.decoder.dropped = GrowingCounter(dropped_before=1)
    await made.until(lambda: made.engine.statistics().dropped == {"dropped_before": 2})


async def test_a_full_disk_ends_it_with_its_code_and_keeps_what_is_written(bench) -> None:
    def refuse(fragment: Fragment) -> None:
        if fragment.kind is FragmentKind.MEDIA:
            raise BystanderError("disk_full", "No room.", fault=Fault.DESTINATION, status=507)

    made = await bench(write=refuse)
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].begin()
    call = asyncio.create_task(made.peers[0].call(2.0))
    async with asyncio.timeout(PATIENCE_S):
        assert await made.engine.wait_ended() == Ending(EndReason.ABORT_SYSTEM, "disk_full")
    await call
    summary = await made.engine.stop()
    assert summary.bytes == len(made.fragments[0].data)
    assert len(made.fragments) == 1


async def test_a_disk_that_fills_while_draining_is_no_success() -> None:
    full = False

    def refuse(fragment: Fragment) -> None:
        if full:
            raise BystanderError("disk_full", "No room.", fault=Fault.DESTINATION, status=507)

    made = Bench(PLAN, refuse)
    await made.engine.start()
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].begin()
    await made.peers[0].call(0.4)
    full = True
    with pytest.raises(BystanderError, match="disk_full"):
        await made.engine.stop()


async def test_a_defect_ends_it_unexpectedly(bench) -> None:
    def fail(fragment: Fragment) -> None:
        raise RuntimeError("a defect")

    made = await bench(write=fail)
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].begin()
    call = asyncio.create_task(made.peers[0].call(1.0))
    async with asyncio.timeout(PATIENCE_S):
        assert await made.engine.wait_ended() == Ending(EndReason.ABORT_UNEXPECTED, "rendering_failed")
    await call


async def test_sound_only_never_takes_pictures(bench) -> None:
    plan = RecordingPlan(recording="r", conversation="c", type=RecordingType.AUDIO)
    made = await bench(plan)
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].begin()
    await made.peers[0].call(0.8)
    await made.engine.stop()
    assert made.peers[0].video.keyframes_asked == 0
    assert examine(b"".join(fragment.data for fragment in made.fragments)).picture_times == []
    assert "video" not in {event.detail.get("media") for event in made.events}


def participant(name: str) -> Publisher:
    return Publisher(participant=name, name=name)


async def test_seats_are_bounded_and_given_back(bench) -> None:
    made = await bench()
    for index in range(PUBLISHERS_PER_RECORDING_MAX):
        await made.engine.publish(f"s{index}", participant(f"p{index}"), "offer")
        made.peers[index].session.state_changed("connected")
    with pytest.raises(BystanderError, match="too_many_publishers"):
        await made.engine.publish("one more", ADA, "offer")
    await made.engine.unpublish("s0")
    assert made.peers[0].closed
    await made.engine.publish("one more", ADA, "offer")


async def test_offers_without_media_keep_nobody_out(bench) -> None:
    made = await bench()
    for index in range(5 * PUBLISHERS_PER_RECORDING_MAX):
        await made.engine.publish(f"fake {index}", participant("eve"), "offer")
    await made.engine.publish("camera", ADA, "offer")
    for index in range(5 * PUBLISHERS_PER_RECORDING_MAX):
        await made.engine.publish(f"more {index}", participant("eve"), "offer")
    made.peers[5 * PUBLISHERS_PER_RECORDING_MAX].session.state_changed("connected")
    sessions = [p.participant for p in made.engine.statistics().participants]
    assert sorted(sessions) == ["ada"] + ["eve"] * SESSIONS_PER_PARTICIPANT_MAX


async def test_many_who_never_connect_give_way_to_those_who_may(bench) -> None:
    made = await bench()
    await made.engine.publish("camera", ADA, "offer")
    for index in range(3 * UNCONNECTED_SESSIONS_MAX):
        await made.engine.publish(f"fake {index}", participant(f"eve {index // 4}"), "offer")
    sessions = [p.participant for p in made.engine.statistics().participants]
    assert len(sessions) == UNCONNECTED_SESSIONS_MAX
    assert "ada" in sessions


async def test_a_participant_is_here_so_often_and_no_more(bench) -> None:
    made = await bench()
    for index in range(SESSIONS_PER_PARTICIPANT_MAX):
        await made.engine.publish(f"s{index}", ADA, "offer")
        made.peers[index].session.state_changed("connected")
    with pytest.raises(BystanderError, match="too_many_sessions"):
        await made.engine.publish("one more", ADA, "offer")
    await made.engine.publish("of somebody else", participant("bob"), "offer")


async def test_seats_are_taken_by_those_who_connect_first(bench) -> None:
    made = await bench()
    for index in range(PUBLISHERS_PER_RECORDING_MAX - 1):
        await made.engine.publish(f"s{index}", participant(f"p{index}"), "offer")
        made.peers[index].session.state_changed("connected")
    await made.engine.publish("ada", ADA, "offer")
    await made.engine.publish("bob", participant("bob"), "offer")
    for peer in made.peers[-2:]:
        peer.session.state_changed("connected")
    await asyncio.sleep(0)
    assert made.peers[-1].closed
    assert not made.peers[-2].closed
    assert made.events[-1].detail == {"reason": "too_many_publishers"}


async def test_why_a_connection_failed_is_told_in_events_log_and_ending(
    bench, caplog: pytest.LogCaptureFixture
) -> None:
    made = await bench(RecordingPlan(recording="r", conversation="c", no_media_timeout_s=0.3))
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].session.state_changed("failed", "ice_timeout")
    async with asyncio.timeout(PATIENCE_S):
        ending = await made.engine.wait_ended()
    assert ending == Ending(EndReason.ABORT_TIMEOUT, "publisher_not_connected")
    failed = made.events[0]
    assert (failed.kind, failed.participant, failed.detail) == (
        "connection_failed",
        "ada",
        {"reason": "ice_timeout"},
    )
    assert "participant ada failed: ice_timeout" in caplog.text


async def test_a_refused_offer_leaves_nothing_behind(bench) -> None:
    made = await bench()
    with pytest.raises(BystanderError, match="malformed_sdp"):
        await made.engine.publish("s1", ADA, "bad")
    assert made.peers[0].closed
    assert [(event.kind, event.detail) for event in made.events] == [
        ("connection_failed", {"reason": "malformed_sdp"})
    ]
    await made.engine.publish("s1", ADA, "offer")
    with pytest.raises(BystanderError, match="session_exists"):
        await made.engine.publish("s1", ADA, "offer")


async def test_what_was_dropped_of_somebody_stays_counted_when_they_leave(bench) -> None:
    made = await bench()
    await made.engine.publish("s1", ADA, "offer")
    made.peers[0].statistics.dropped["malformed_rtp"] = 3
    assert made.engine.statistics().participants[0].dropped == {"malformed_rtp": 3}
    await made.engine.unpublish("s1")
    assert made.engine.statistics().participants == []
    assert made.engine.statistics().dropped == {"malformed_rtp": 3}


async def test_what_a_leaving_peer_still_held_is_recorded(bench) -> None:
    plan = RecordingPlan(recording="r", conversation="c", type=RecordingType.AUDIO)
    made = await bench(plan)
    await made.engine.publish("s1", ADA, "offer")
    peer = made.peers[0]
    peer.begin()
    peer.held = EncodedFrame(Codec.OPUS, 0, SystemClock().monotonic_ns(), opus_packets(1.0, ())[0], True)
    await made.engine.unpublish("s1")
    assert (await made.engine.stop()).duration_us > 10_000


async def test_a_peer_that_cannot_be_closed_does_not_keep_a_recording_from_ending(bench) -> None:
    made = await bench()
    await made.engine.publish("s1", ADA, "offer")
    await made.engine.publish("s2", ADA, "offer")

    async def fail() -> None:
        raise RuntimeError("a defect")

    made.peers[0].close = fail
    await made.engine.stop()
    assert made.peers[1].closed


async def test_unknown_sessions_are_not_found(bench) -> None:
    made = await bench()
    for call in (made.engine.unpublish("nobody"), made.engine.trickle("nobody", "", None)):
        with pytest.raises(BystanderError, match="not_found"):
            await call


async def test_a_peer_that_vanishes_frees_its_seat_and_the_recording_goes_on(bench) -> None:
    made = await bench()
    await made.engine.publish("s1", ADA, "offer")
    peer = made.peers[0]
    peer.begin()
    await peer.call(0.4)
    peer.session.state_changed("failed")
    await made.until(lambda: any(event.kind == "left" for event in made.events))
    assert peer.closed
    assert made.engine.statistics().participants == []
    before = made.engine.statistics().duration_s
    await made.until(lambda: made.engine.statistics().duration_s > before + 0.3)


async def test_a_publisher_that_begins_with_a_key_frame_is_asked_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    received = RTCRtpSender._handle_rtcp_packet

    async def note(sender: RTCRtpSender, packet: object) -> None:
        if isinstance(packet, RtcpPsfbPacket):
            asked.append(packet)
        await received(sender, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(RTCRtpSender, "_handle_rtcp_packet", note)
    plan = RecordingPlan(recording="rec", conversation="conv", canvas=PLAN.canvas, bind_host="127.0.0.1")
    made: list[Fragment] = []
    engine = Engine(plan, write=made.append, on_event=lambda event: None, clock=SystemClock())
    await engine.start()
    try:
        async with AiortcPeer() as publisher:
            answer, _ = await engine.publish("s1", ADA, await publisher.offer())
            await publisher.answered(answer)
            async with asyncio.timeout(PATIENCE_S):
                # Long enough for two requests at their least distance to have left and arrived.
                while engine.statistics().duration_s < 1.5:  # noqa: ASYNC110 - it belongs to another thread
                    await asyncio.sleep(0.05)
            statistics = engine.statistics()
    finally:
        await engine.stop()
    assert (asked, statistics.dropped) == ([], {})
