"""A machine that cannot do it all, and a publisher that sends more than anybody can: who pays, and with what.

The machine is simulated: each picture costs a set time, so the schedule is the same on every machine.
"""

import io
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from media.check.file import check_file
from media.handover.encoded_frame import Codec
from media.handover.render_queue import Arrived, Batch, Joined, Left, RenderQueue
from media.render.renderer import STEP_NS, Renderer
from media.render.roster import CHANGES_WAITING_MAX
from media.render.streams import PENDING_BYTES_MAX
from media.video.quality_control import EFFORTS, QualityLevel
from recorder.kernel.limits import MIB, UNWRITTEN_S_MAX
from recorder.kernel.media import Canvas, Fragment, MediaEvent, Publisher
from recorder.kernel.recording import RecordingPlan
from tests.support.encoded_source import NS, Reports, Sender, opus_packets, video_frames
from tests.support.flashes import examine

PLAN = RecordingPlan(recording="rec", conversation="conv", canvas=Canvas(width=320, height=180), video_crf=35)
ADA = Publisher(participant="ada", name="Ada")
BOB = Publisher(participant="bob", name="Bob")
BATCH_NS = NS // 5
HASTE = 0.5  # of the time that a thorough picture takes: what docs/how/cost.md measured
NARROWNESS = 0.5  # of the time that a picture of the full width takes: as well
CODED_S_MAX = UNWRITTEN_S_MAX + STEP_NS / NS + 0.1  # the last two AAC frames and picture
SECONDS = 12.0
FLASHES = tuple(float(second) for second in range(1, 12))


def file_of(written: list[Fragment]) -> bytes:
    """The recording: of fragments that grew, the last."""
    return b"".join(fragment.data for fragment in written if not fragment.provisional)


def unwritten_s(renderer: Renderer) -> float:
    """What the fragmenter holds: coded pictures and sound that are in no fragment yet."""
    return renderer.duration_ns / NS - renderer.fragmenter.written_us / 1e6


@dataclass
class SlowMachine:
    """Renders batches one after the other; each composed picture takes `picture_ns` of simulated time."""

    picture_ns: int
    seconds: float = SECONDS
    busy_until_ns: int = 0
    written: list[Fragment] = field(default_factory=list)
    events: list[MediaEvent] = field(default_factory=list)
    efforts: list[QualityLevel] = field(default_factory=list)
    lag_ns_max: int = 0
    unwritten_s_max: float = 0.0  # of what is rendered

    def run(self, sender: Sender, *, slow_until_s: float) -> bytes:
        renderer = Renderer(
            PLAN, write=self.written.append, emit=self.events.append, want_keyframe=lambda key: None
        )
        items = sorted(sender.items, key=lambda pair: pair[0])
        end_ns = round((101 + self.seconds) * NS)
        for now_ns in range(100 * NS, end_ns, BATCH_NS):
            while items and items[0][0] <= now_ns:
                renderer.accept(items.pop(0)[1], now_ns)
            lag_ns = max(0, self.busy_until_ns - now_ns)
            composed = renderer.frames_composed
            renderer.advance(now_ns, {}, lag_ns=lag_ns)
            price = self.picture_ns if now_ns < (100 + slow_until_s) * NS else NS // 1000
            price = price if renderer.effort.thorough else round(price * HASTE)
            price = price if renderer.effort.resolution_divisor == 1 else round(price * NARROWNESS)
            self.busy_until_ns = now_ns + lag_ns + (renderer.frames_composed - composed) * price
            self.lag_ns_max = max(self.lag_ns_max, lag_ns)
            self.efforts.append(renderer.effort)
            self.unwritten_s_max = max(self.unwritten_s_max, unwritten_s(renderer))
        renderer.finish(end_ns)
        return file_of(self.written)


def caller(seconds: float = SECONDS) -> Sender:
    sender = Sender("s1", ADA)
    sender.sound(opus_packets(seconds, FLASHES), reports=Reports())
    frames = video_frames(Codec.H264, (320, 180), 25, seconds, FLASHES, 1.0, moving=True)
    sender.video(frames, codec=Codec.H264, fps=25, reports=Reports())
    return sender


class TestSlowMachine:
    @pytest.mark.parametrize(
        ("picture_ms", "deepest"),
        [(30, EFFORTS[0]), (60, EFFORTS[1]), (100, EFFORTS[2]), (250, EFFORTS[3]), (300, EFFORTS[4])],
    )
    def test_only_as_much_is_given_up_as_is_needed(self, picture_ms: int, deepest: QualityLevel) -> None:
        machine = SlowMachine(picture_ms * NS // 1000)
        found = examine(machine.run(caller(), slow_until_s=SECONDS))
        assert max(machine.efforts, key=EFFORTS.index) == deepest
        assert (
            machine.lag_ns_max < 7 * NS
        )  # many times too slow, and yet seconds behind: the inbox holds them
        assert found.beeps == pytest.approx(list(FLASHES), abs=0.03)  # sound never
        assert machine.unwritten_s_max <= CODED_S_MAX

    def test_it_is_told_and_ends_when_the_machine_recovers(self) -> None:
        machine = SlowMachine(60 * NS // 1000)
        machine.run(caller(), slow_until_s=4.0)
        told = [event.detail for event in machine.events if event.kind == "degraded"]
        assert [detail["frame_rate_divisor"] for detail in told] == [2, 1]
        assert machine.efforts[-1] == EFFORTS[0]


class Shown(NamedTuple):
    picture: av.VideoFrame
    time_s: float
    pixel_aspect: Fraction


def bar_at(frame: av.VideoFrame) -> float:
    """Where the middle of the bright bar stands, from 0 at the left to 1 at the right."""
    columns = frame.to_ndarray()[20:100].astype(float).mean(axis=0)
    length = frame.width // 20
    return (int(np.convolve(columns, np.ones(length), "valid").argmax()) + length / 2) / frame.width


@pytest.fixture(scope="module")
def machine() -> SlowMachine:
    machine = SlowMachine(300 * NS // 1000, seconds=18.0)
    machine.run(caller(18.0), slow_until_s=4.0)
    return machine


@pytest.fixture(scope="module")
def file(machine: SlowMachine) -> bytes:
    return file_of(machine.written)


@pytest.fixture(scope="module")
def pictures(file: bytes) -> list[Shown]:
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (320, 180)
        return [
            Shown(frame, frame.time or 0.0, stream.codec_context.sample_aspect_ratio or Fraction(1))
            for frame in container.decode(stream)
        ]


class TestNarrowPictures:
    """The file of a machine that could code no more than half the columns for a while."""

    def test_it_is_told_after_the_rate_fell_and_again_when_it_is_over(self, machine: SlowMachine) -> None:
        told = [event.detail for event in machine.events if event.kind == "degraded"]
        steps = [(detail["frame_rate_divisor"], detail["resolution_divisor"]) for detail in told]
        assert steps == [(2, 1), (4, 1), (4, 1), (4, 2), (4, 1)]

    def test_the_width_changes_at_key_frames_and_pixels_make_up_for_it(self, pictures: list[Shown]) -> None:
        runs = [list(run) for _, run in groupby(pictures, key=lambda shown: shown.picture.width)]
        assert [run[0].picture.width for run in runs] == [320, 160, 320]
        assert all(run[0].picture.key_frame for run in runs)
        assert all(shown.picture.width * shown.pixel_aspect == 320 for shown in pictures)

    def test_each_shows_what_was_captured_at_its_time_where_the_others_do(
        self, pictures: list[Shown]
    ) -> None:
        dark = [shown for shown in pictures if shown.time_s % 1 > 0.2]  # a flash outshines the bar
        right = [
            shown
            for shown in dark
            if abs(bar_at(shown.picture) - (round(shown.time_s * 25) * 4 % 304 + 8) / 320) < 0.02
        ]
        assert len(dark) - len(right) <= 2  # while its stream rests, there is a picture a second
        assert sum(shown.picture.width == 160 for shown in right) > 20

    def test_sound_is_whole_and_in_time(self, file: bytes) -> None:
        found = examine(file)
        assert found.beeps == pytest.approx(list(FLASHES), abs=0.03)
        assert found.audio_seconds >= 18.0

    def test_the_file_is_whole(self, file: bytes, tmp_path: Path) -> None:
        (tmp_path / "call.mp4").write_bytes(file)
        assert check_file(tmp_path / "call.mp4").ok


class TestFlood:
    """60 pictures a second of 4K, ten times the bit rate that anybody needs: 40 Mbit/s."""

    PICTURE = bytes(83_000)

    def flood(self, seconds: float) -> Sender:
        sender = Sender("s2", BOB)
        pictures = [(self.PICTURE, number == 0) for number in range(round(60 * seconds))]
        sender.video(pictures, codec=Codec.VP8, fps=60)
        return sender

    def test_the_way_to_the_renderer_holds_no_more_than_its_share(self) -> None:
        inbox = RenderQueue()
        taken = sum(
            inbox.put_frame(item.key, item.frame)
            for _, item in self.flood(10.0).items
            if isinstance(item, Arrived)
        )
        assert taken * len(self.PICTURE) <= 8 * MIB
        assert inbox.dropped["video_backlog"] == 600 - taken
        frame = next(item.frame for _, item in caller().items if isinstance(item, Arrived))
        assert inbox.put_frame("s1/other", frame)
        inbox.send(0, {})
        assert isinstance(inbox.take(), Batch)

    def test_it_costs_frames_of_its_own_and_nobody_elses_sync(self) -> None:
        written: list[Fragment] = []
        renderer = Renderer(
            PLAN, write=written.append, emit=lambda event: None, want_keyframe=lambda key: None
        )
        items = sorted(caller().items + self.flood(SECONDS).items, key=lambda pair: pair[0])
        held, unwritten = 0, 0.0
        for now_ns in range(100 * NS, round((101 + SECONDS) * NS), BATCH_NS):
            while items and items[0][0] <= now_ns:
                renderer.accept(items.pop(0)[1], now_ns)
            renderer.advance(now_ns, {})
            held, unwritten = max(held, renderer.pending_bytes), max(unwritten, unwritten_s(renderer))
        renderer.finish(round((101 + SECONDS) * NS))
        found = examine(file_of(written), at=(0.25, 0.5))
        assert held <= PENDING_BYTES_MAX + 2 * MIB
        assert unwritten <= CODED_S_MAX
        assert found.beeps == pytest.approx(list(FLASHES), abs=0.03)
        assert found.flashes == pytest.approx(list(FLASHES), abs=0.045)
        assert set(renderer.dropped()) <= {"video_corrupt", "video_without_keyframe", "video_overflow"}


class TestComingAndGoing:
    """Who comes and goes faster than anything is rendered."""

    @pytest.mark.parametrize(("more", "early"), [(0, 0), (1, 1), (500, 500)])
    def test_no_more_wait_than_may_and_none_is_forgotten(self, more: int, early: int) -> None:
        written: list[Fragment] = []
        events: list[MediaEvent] = []
        renderer = Renderer(PLAN, write=written.append, emit=events.append, want_keyframe=lambda key: None)
        for at_ns, item in sorted(caller().items, key=lambda pair: pair[0]):
            if at_ns < 103 * NS:
                renderer.accept(item, at_ns)
        renderer.advance(103 * NS, {})
        for number in range(CHANGES_WAITING_MAX + more):
            at_ns = 103 * NS + number
            session = f"guest {number // 2}"
            renderer.accept(Left(session, at_ns) if number % 2 else Joined(session, BOB, at_ns), at_ns)
        assert renderer.dropped().get("changes_before_their_time", 0) == early
        renderer.finish(105 * NS)
        kinds = Counter(event.kind for event in events)
        assert kinds["joined"] == 1 + (CHANGES_WAITING_MAX + more + 1) // 2
        assert kinds["left"] == (CHANGES_WAITING_MAX + more) // 2
        assert examine(file_of(written)).beeps
