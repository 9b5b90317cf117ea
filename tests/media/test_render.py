from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from media.audio.decoder import CONCEALED_SAMPLES_MAX
from media.handover.encoded_frame import Codec, EncodedFrame
from media.handover.render_queue import Arrived, TimelineChanged
from media.render.renderer import Renderer
from media.sync.watermark import MARGIN_NS_MIN
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import Canvas, Fragment, FragmentKind, MediaEvent, Publisher, SourceKind
from recorder.kernel.recording import RecordingPlan, RecordingType
from tests.support.encoded_source import NS, Reports, Sender, opus_packets, replay, video_frames
from tests.support.flashes import examine, offsets_ms

PLAN = RecordingPlan(recording="rec", conversation="conv", canvas=Canvas(width=320, height=180), video_crf=35)
ADA = Publisher(participant="ada", name="Ada")
BOB = Publisher(participant="bob", name="Bob")
SIZE = (320, 180)
SECONDS = 6.0
FIRST_FRAGMENT_S = 0.5
FLASHES = (1.0, 2.0, 3.0, 4.0, 5.0)


def flashing(
    *,
    codec: Codec = Codec.VP8,
    session: str = "s1",
    publisher: Publisher = ADA,
    pipeline_s: float = 0.04,
    **options,
) -> Sender:
    """A publisher that flashes and beeps at each of FLASHES."""
    reports = options.pop("reports", Reports())
    sound_at, video_at = options.pop("sound_at", 0.0), options.pop("video_at", 0.0)
    sender = Sender(session, publisher, **options)
    events = tuple(at - sound_at for at in FLASHES if at >= sound_at)
    sender.sound(opus_packets(SECONDS - sound_at, events), start_s=sound_at, reports=reports)
    events = tuple(at - video_at for at in FLASHES if at >= video_at)
    frames = video_frames(codec, SIZE, 25, SECONDS - video_at, events)
    sender.video(frames, codec=codec, fps=25, start_s=video_at, pipeline_s=pipeline_s, reports=reports)
    return sender


def assert_in_sync(data: bytes, *, worst_ms: float, events: int = len(FLASHES)) -> None:
    found = examine(data)
    offsets = offsets_ms(found.flashes, found.beeps)
    assert len(offsets) == events
    assert max(abs(offset) for offset in offsets) <= worst_ms, offsets


class TestSync:
    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    @pytest.mark.parametrize("skew_ppm", [-100, 100])
    def test_flash_and_beep_stay_together(self, codec: Codec, skew_ppm: float) -> None:
        output, _ = replay(PLAN, [flashing(codec=codec, skew_ppm=skew_ppm)], until_s=106.5)
        assert_in_sync(output.data, worst_ms=20.2)  # half a picture behind one that was due, and rounding

    @pytest.mark.parametrize("starts", [{"sound_at": 2.52}, {"video_at": 2.52}])
    def test_one_may_begin_long_after_the_other(self, starts: dict) -> None:
        output, _ = replay(PLAN, [flashing(**starts)], until_s=106.5)
        assert_in_sync(output.data, worst_ms=20, events=3)

    def test_the_beginning_waits_for_the_first_reports(self) -> None:
        late = Reports(first_s=1.1)  # the first flash is 100 ms before
        sender = flashing(reports=late, pipeline_s=0.12, sound_at=0.2, video_at=0.2)
        output, _ = replay(PLAN, [sender], until_s=106.5)
        assert_in_sync(output.data, worst_ms=5)

    def test_without_reports_the_beginning_waits_no_longer_than_agreed(self) -> None:
        output, _ = replay(PLAN, [flashing(reports=None)], until_s=106.5)
        began_s = 100.01
        assert output.written_at_ns[1] / NS < began_s + 1.0 + FIRST_FRAGMENT_S + 0.2

    def test_jitter_is_not_heard_nor_seen(self) -> None:
        output, renderer = replay(PLAN, [flashing(jitter_s=0.06)], until_s=106.5)
        assert_in_sync(output.data, worst_ms=40)
        assert not renderer.dropped()

    def test_reports_wrong_by_300_ms_do_not_move_anything(self) -> None:
        wrong = Reports(error_s=lambda at_s: 0.3 if int(at_s) % 2 else 0.0)
        output, _ = replay(PLAN, [flashing(reports=wrong)], until_s=106.5)
        assert_in_sync(output.data, worst_ms=45)

    def test_without_reports_arrival_decides(self) -> None:
        output, _ = replay(PLAN, [flashing(reports=None, pipeline_s=0.0)], until_s=106.5)
        assert_in_sync(output.data, worst_ms=20)

    def test_two_participants_are_on_one_clock(self) -> None:
        ada = flashing(skew_ppm=100)
        bob = Sender("s2", BOB, start_s=100.0, skew_ppm=-100, seed=9)
        bob.sound(opus_packets(SECONDS, tuple(at + 0.5 for at in FLASHES[:-1])), reports=Reports())
        output, _ = replay(PLAN, [ada, bob], until_s=106.5)
        beeps = examine(output.data).beeps
        assert len(beeps) == 9
        assert np.allclose(np.diff(beeps), 0.5, atol=0.01)


class TestFile:
    def test_begins_with_a_picture_and_ends_where_media_ends(self) -> None:
        output, renderer = replay(PLAN, [flashing()], until_s=107.0)
        found = examine(output.data)
        assert found.picture_times[0] == 0.0
        assert found.audio_seconds == pytest.approx(renderer.duration_ns / NS, abs=0.022)
        assert found.picture_times[-1] < renderer.duration_ns / NS <= found.audio_seconds + 0.001
        assert renderer.dropped() == {}

    def test_fragments_follow_each_other_and_two_seconds_are_written_at_a_time(self) -> None:
        output, renderer = replay(PLAN, [flashing()], until_s=106.5)
        init, *media = output.fragments
        assert init.kind is FragmentKind.INIT
        assert media[0].start_us == 0
        assert all(one.start_us + one.duration_us == two.start_us for one, two in pairwise(media))
        assert max(later - earlier for earlier, later in pairwise(output.safe_until_us)) <= 2_000_000
        starts = [fragment.start_us / 1e6 for fragment in media]
        assert np.allclose(examine(output.data).keyframe_times, starts, atol=2e-5)
        assert media[-1].start_us + media[-1].duration_us == renderer.duration_ns // 1000

    def test_media_is_written_soon_after_the_fragment_is_whole(self) -> None:
        output, _ = replay(PLAN, [flashing()], until_s=106.5)
        zero_ns = 100 * NS + 10_000_000
        for end_us, at_ns in zip(output.safe_until_us[1:-1], output.written_at_ns[1:-1], strict=True):
            end_ns = zero_ns + end_us * 1000
            assert at_ns - end_ns < 2 * MARGIN_NS_MIN + 100_000_000

    def test_the_same_input_gives_the_same_bytes(self) -> None:
        one, _ = replay(PLAN, [flashing(jitter_s=0.03)], until_s=103)
        two, _ = replay(PLAN, [flashing(jitter_s=0.03)], until_s=103)
        assert one.data == two.data

    def test_a_picture_that_stands_still_is_written_once_a_second(self) -> None:
        sender = Sender("s1", replace_source(ADA, SourceKind.SCREEN_SHARE))
        sender.video(video_frames(Codec.VP8, SIZE, 25, SECONDS, ()), codec=Codec.VP8, fps=25)
        _, renderer = replay(PLAN, [sender], until_s=106)
        assert renderer.frames_composed <= 13  # one a second, and key frames

    def test_sound_alone_gives_sound_alone(self) -> None:
        plan = RecordingPlan(recording="rec", conversation="conv", type=RecordingType.AUDIO)
        output, renderer = replay(plan, [flashing()], until_s=106.5)
        found = examine(output.data)
        assert found.picture_times == []
        assert len(found.beeps) == len(FLASHES)
        assert found.audio_seconds == pytest.approx(renderer.duration_ns / NS, abs=0.022)
        assert max(fragment.duration_us for fragment in output.fragments) <= 2_000_000


class TestComingAndGoing:
    def test_without_media_nothing_is_written(self) -> None:
        output, renderer = replay(PLAN, [Sender("s1", ADA)], until_s=103)
        assert output.fragments == []
        assert not renderer.begun

    def test_who_comes_later_gets_a_tile_and_who_leaves_loses_it(self) -> None:
        ada = Sender("s1", ADA)
        ada.sound(opus_packets(SECONDS, ()))
        bob = Sender("s2", BOB, start_s=102.0)
        bright = video_frames(Codec.VP8, SIZE, 25, 2.0, tuple(i * 0.08 for i in range(25)))
        bob.video(bright, codec=Codec.VP8, fps=25)
        bob.leave(2.0)
        output, _ = replay(PLAN, [ada, bob], until_s=106)
        found = examine(output.data, at=(0.75, 0.5))
        assert found.flashes == pytest.approx([2.0], abs=0.05)
        assert found.last_picture[90, 240] < 128
        kinds = [(event.kind, event.participant) for event in output.events]
        assert kinds.index(("joined", "bob")) < kinds.index(("left", "bob"))
        (left,) = [event for event in output.events if event.kind == "left"]
        assert left.at_s == pytest.approx(4.0, abs=0.1)

    def test_with_everybody_gone_the_recording_goes_on(self) -> None:
        sender = Sender("s1", ADA)
        sender.sound(opus_packets(1.0, (0.5,)))
        sender.leave(1.0)
        output, renderer = replay(PLAN, [sender], until_s=110)
        assert renderer.duration_ns / NS == pytest.approx(10, abs=0.2)
        assert examine(output.data).audio_seconds == pytest.approx(10, abs=0.2)

    def test_a_camera_that_stops_gives_way_to_a_placeholder_but_a_share_is_held(self) -> None:
        bright = video_frames(Codec.VP8, SIZE, 25, 1.0, tuple(i * 0.08 for i in range(13)))
        for source, held in ((SourceKind.CAMERA, False), (SourceKind.SCREEN_SHARE, True)):
            sender = Sender("s1", replace_source(ADA, source))
            sender.video(bright, codec=Codec.VP8, fps=25)
            output, _ = replay(PLAN, [sender], until_s=108)
            luma = examine(output.data).last_picture
            assert bool(luma[20, 160] > 128) is held

    def test_a_silent_camera_and_microphone_are_told_as_events(self) -> None:
        sender = Sender("s1", ADA)
        sender.sound(opus_packets(SECONDS, ()))
        sender.video(video_frames(Codec.VP8, SIZE, 25, 1.0, ()), codec=Codec.VP8, fps=25)
        output, _ = replay(PLAN, [sender], until_s=110)
        told = {event.kind: event.at_s for event in output.events}
        assert told["muted"] == pytest.approx(1.0, abs=0.1)
        assert told["gap_started"] == pytest.approx(SECONDS, abs=0.1)


class TestTrouble:
    def test_another_size_in_mid_stream(self) -> None:
        sender = Sender("s1", ADA)
        frames = video_frames(Codec.VP8, SIZE, 25, 2.0, ()) + video_frames(
            Codec.VP8, (160, 120), 25, 2.0, (1.0,)
        )
        sender.video(frames, codec=Codec.VP8, fps=25)
        output, renderer = replay(PLAN, [sender], until_s=105)
        assert examine(output.data).flashes == pytest.approx([3.0], abs=0.05)
        sizes = [event.detail for event in output.events if event.kind == "size_changed"]
        assert [(size["width"], size["height"]) for size in sizes] == [(320, 180), (160, 120)]
        assert not renderer.dropped()

    def test_another_ssrc_in_mid_stream_keeps_the_sync(self) -> None:
        sender = flashing()
        changed_ns = round(102.5 * NS)
        sender.items = [
            (at, renumbered(item) if at > changed_ns else item)
            for at, item in sorted(sender.items, key=lambda pair: pair[0])
        ]
        sender.put(2.5, TimelineChanged("s1/video"))
        output, _ = replay(PLAN, [sender], until_s=106.5)
        assert_in_sync(output.data, worst_ms=20)

    def test_lost_sound_is_concealed_and_later_sound_keeps_its_place(self) -> None:
        sender = Sender("s1", ADA)
        sender.sound(opus_packets(SECONDS, FLASHES, fec=True), lose=lambda index: index % 17 == 3)
        output, renderer = replay(PLAN, [sender], until_s=106.5)
        beeps = examine(output.data).beeps
        assert beeps == pytest.approx(list(FLASHES), abs=0.03)
        assert CONCEALED_SAMPLES_MAX > 0
        assert "audio_corrupt" not in renderer.dropped()

    def test_lost_pictures_hold_the_last_good_one_until_a_key_frame(self) -> None:
        sender = Sender("s1", ADA)
        frames = video_frames(Codec.H264, SIZE, 25, 4.0, (1.0, 3.0), keyframe_every_s=2.0)
        sender.video(frames, codec=Codec.H264, fps=25, lose=lambda index: index == 20)
        output, renderer = replay(PLAN, [sender], until_s=104.5)
        assert examine(output.data).flashes == pytest.approx([3.0], abs=0.05)
        assert renderer.dropped() == {"video_without_keyframe": 29}
        assert "s1/video" in output.keyframes_wanted

    def test_garbage_of_one_costs_the_other_nothing(self) -> None:
        bad = Sender("s2", BOB)
        rng = np.random.default_rng(3)
        noise = [(rng.bytes(700), True) for _ in range(100)]
        bad.video(noise, codec=Codec.H264, fps=25)
        bad.sound([rng.bytes(90) for _ in range(200)])
        output, renderer = replay(PLAN, [flashing(), bad], until_s=106.5)
        found = examine(output.data, at=(0.25, 0.5))
        assert len(found.flashes) == len(FLASHES)
        assert renderer.dropped()["video_corrupt"] > 50

    def test_a_gap_that_is_waited_for_is_filled_in_time(self) -> None:
        sender = Sender("s1", ADA)
        sender.sound(opus_packets(SECONDS, FLASHES))
        late_ns, stalled = 700_000_000, range(100, 135)
        sender.items = [
            (101 * NS + NS + late_ns, item)
            if isinstance(item, Arrived) and 102 * NS <= at < 102 * NS + late_ns
            else (at, item)
            for at, item in sender.items
        ]
        assert len(stalled) == 35
        output, renderer = replay(PLAN, [sender], until_s=106.5, blocked={"s1/audio": 102 * NS})
        assert examine(output.data).beeps == pytest.approx(list(FLASHES), abs=0.03)
        assert renderer.dropped().get("audio_late_samples", 0) == 0

    def test_under_load_pictures_become_fewer_and_the_costliest_stream_rests(self) -> None:
        events: list[MediaEvent] = []
        written: list[Fragment] = []
        renderer = Renderer(PLAN, write=written.append, emit=events.append, want_keyframe=lambda key: None)
        big = Sender("s2", BOB)
        big.video(video_frames(Codec.VP8, (640, 480), 25, 4.0, (), moving=True), codec=Codec.VP8, fps=25)
        small = flashing()
        items = sorted(small.items + big.items, key=lambda pair: pair[0])
        for now_ns in range(100 * NS, round(106.5 * NS), 40_000_000):
            while items and items[0][0] <= now_ns:
                renderer.accept(items.pop(0)[1], now_ns)
            renderer.advance(now_ns, {}, lag_ns=2_100_000_000 if now_ns < 102.5 * NS else 0)
        renderer.finish(round(106.5 * NS))
        told = [event.detail for event in events if event.kind == "degraded"][:5]
        assert [detail["frame_rate_divisor"] for detail in told] == [2, 4, 4, 4, 8]
        assert [detail["thorough"] for detail in told] == [True, True, False, False, False]
        assert [detail["resolution_divisor"] for detail in told] == [1, 1, 1, 2, 2]
        assert set(renderer.dropped()) == {"video_overload", "video_superseded", "video_without_keyframe"}
        found = examine(b"".join(fragment.data for fragment in written), at=(0.25, 0.5))
        assert len(found.beeps) == len(FLASHES)
        assert len(found.picture_times) < 120

    def test_a_disk_that_refuses_is_raised_as_it_is(self) -> None:
        full = BystanderError("disk_full", "No room.", fault=Fault.DESTINATION, status=507)

        def refuse(fragment: object) -> None:
            raise full

        renderer = Renderer(PLAN, write=refuse, emit=lambda event: None, want_keyframe=lambda key: None)
        sender = flashing()
        with pytest.raises(BystanderError, match="disk_full"):
            for at, item in sorted(sender.items, key=lambda pair: pair[0]):
                renderer.accept(item, at)
                renderer.advance(at, {})


def replace_source(publisher: Publisher, source: SourceKind) -> Publisher:
    return Publisher(participant=publisher.participant, name=publisher.name, source=source)


def renumbered(item: object) -> object:
    if isinstance(item, Arrived) and item.frame.codec.is_video:
        frame: EncodedFrame = item.frame
        return Arrived(item.key, replace(frame, rtp_timestamp=frame.rtp_timestamp + 12_345_678_901))
    return item
