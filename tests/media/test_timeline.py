from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec, SenderReport
from media.sync.clock_steps import PAUSE_CERTAIN_NS, PAUSE_NS, Doubt
from media.sync.stream_clock import StreamClock
from media.sync.timeline import SenderClock

MS = 1_000_000
S = 1_000_000_000
EPOCH = 3_900_000_000 * S


class Stream:
    """A sender's stream with exact true capture times, to hold the mapping against."""

    def __init__(
        self, codec: Codec, *, skew_ppm: float = 0.0, rtp_base: int = 10**9, pipeline_ms: float = 0.0
    ) -> None:
        self.codec = codec
        self.skew = 1 + skew_ppm * 1e-6
        self.rtp_base = rtp_base
        self.pipeline_ns = round(pipeline_ms * MS)

    def rtp(self, true_ns: int) -> int:
        return self.rtp_base + round(true_ns * self.skew * self.codec.clock_rate / S)

    def ntp(self, true_ns: int) -> int:
        return EPOCH + round(true_ns * self.skew)


def play(
    clock: SenderClock,
    streams: dict[str, Stream],
    *,
    seconds: float,
    jitter_ms: float = 0.0,
    seed: int = 1,
    report_every_s: float = 1.0,
    report_error_ms: dict[str, float] | None = None,
    start_s: float = 0.0,
) -> dict[str, float]:
    """Run the streams; return each one's error at the end: mapped minus true capture time, in ms."""
    random = Random(seed)
    events = []
    for key, stream in streams.items():
        period = 40 * MS if stream.codec.is_video else 20 * MS
        for index in range(round(seconds * S / period)):
            true_ns = round(start_s * S) + index * period
            arrival = true_ns + stream.pipeline_ns + 10 * MS + round(random.random() * jitter_ms * MS)
            events.append((arrival, key, true_ns, False))
            if (index * period) % round(report_every_s * S) == 0 and index:
                events.append((arrival, key, true_ns, True))
    last = dict.fromkeys(streams, 0)
    for arrival, key, true_ns, is_report in sorted(events):
        stream = streams[key]
        if is_report:
            error = round((report_error_ms or {}).get(key, 0.0) * MS)
            clock.report(key, SenderReport(stream.rtp(true_ns), stream.ntp(true_ns) + error, arrival))
        else:
            clock.observe(key, stream.codec, stream.rtp(true_ns), arrival)
            last[key] = true_ns
    return {
        key: (clock.stream(key, stream.codec).capture_ns(stream.rtp(last[key])) - last[key]) / MS
        for key, stream in streams.items()
    }


def call(**video: float) -> dict[str, Stream]:
    return {"audio": Stream(Codec.OPUS), "video": Stream(Codec.VP8, rtp_base=77, pipeline_ms=60, **video)}


class TestFromArrivalAlone:
    def test_constant_delay_is_all_that_remains(self) -> None:
        errors = play(SenderClock(), {"audio": Stream(Codec.OPUS)}, seconds=3)
        assert abs(errors["audio"] - 10) < 0.5

    @given(st.floats(-100, 100), st.integers(0, 10**6))
    @settings(max_examples=15, deadline=None)
    def test_drift_is_followed_and_jitter_is_not(self, skew_ppm: float, seed: int) -> None:
        streams = {"audio": Stream(Codec.OPUS, skew_ppm=skew_ppm)}
        errors = play(SenderClock(), streams, seconds=60, jitter_ms=60, seed=seed)
        assert -0.5 <= errors["audio"] - 10 <= 8

    def test_a_stall_of_the_network_moves_nothing(self) -> None:
        clock = StreamClock(Codec.OPUS)
        for index in range(100):
            clock.observe(index * 960, index * 20 * MS)
        for index in range(100, 205):
            clock.observe(index * 960, max(index * 20 * MS, 4 * S))  # two seconds come at once
        assert abs(clock.capture_ns(150 * 960) - 150 * 20 * MS) < MS

    def test_a_pause_of_the_senders_rtp_clock_is_a_new_beginning(self) -> None:
        clock = StreamClock(Codec.OPUS)
        for index in range(100):
            clock.observe(index * 960, index * 20 * MS)
        for index in range(20):  # three seconds later, the timestamps go on as if nothing had been
            clock.observe((100 + index) * 960, 5 * S + index * 20 * MS)
            open_yet = index >= 2 and index * 20 * MS < PAUSE_CERTAIN_NS
            assert clock.doubt == (Doubt(5 * S, 100 * 960) if open_yet else None)
        assert abs(clock.capture_ns(100 * 960) - 5 * S) < MS

    @given(st.integers(0, 10**6), st.integers(300, 1500), st.sampled_from([0.0, 60.0]))
    @settings(max_examples=25, deadline=None)
    def test_a_queue_that_stalls_and_drains_moves_nothing(
        self, seed: int, stall_ms: int, jitter_ms: float
    ) -> None:
        clock, random = StreamClock(Codec.OPUS), Random(seed)
        end = 3 * S + stall_ms * MS
        for index in range(400):
            arrival = index * 20 * MS + round(random.random() * jitter_ms * MS)
            if index >= 150:  # it drains faster than new frames come
                arrival = max(arrival, end + (index - 150) * 12 * MS)
            clock.observe(index * 960, arrival)
            if index > 100:
                assert abs(clock.capture_ns(index * 960) - index * 20 * MS) < 10 * MS

    def test_one_absurd_timestamp_is_recovered_from(self) -> None:
        clock = StreamClock(Codec.OPUS)
        clock.observe(0, 0)
        clock.observe(10**12, 20 * MS)
        for index in range(2, 200):
            clock.observe(index * 960, index * 20 * MS)
        assert abs(clock.capture_ns(199 * 960) - 199 * 20 * MS) < 5 * MS

    def test_a_short_pause_of_the_senders_rtp_clock_is_noticed(self) -> None:
        clock = StreamClock(Codec.OPUS)
        for index in range(3000):
            pause = 200 * MS if index >= 100 else 0  # timestamps go on where they were, 200 ms later
            clock.observe(index * 960, index * 20 * MS + pause)
        assert abs(clock.capture_ns(2999 * 960) - (2999 * 20 * MS + 200 * MS)) < 10 * MS

    def test_later_knowledge_slews_and_does_not_jump(self) -> None:
        clock = StreamClock(Codec.OPUS)
        mapped = []
        for index in range(500):
            delay = 50 * MS if index < 150 else 0  # the way becomes 50 ms shorter after 3 s
            clock.observe(index * 960, index * 20 * MS + delay)
            mapped.append(clock.capture_ns(index * 960))
        steps = [later - earlier for earlier, later in pairwise(mapped)]
        assert min(steps[60:]) > 19 * MS
        assert max(steps[60:]) < 21 * MS


class TestFromSenderReports:
    def test_the_pictures_longer_way_is_taken_off(self) -> None:
        errors = play(SenderClock(), call(), seconds=10)
        assert abs(errors["video"] - errors["audio"]) < 1

    @given(st.floats(-100, 100), st.floats(0, 60), st.integers(0, 10**6))
    @settings(max_examples=15, deadline=None)
    def test_lips_stay_in_sync_whatever_the_clock_and_the_jitter(
        self, skew_ppm: float, jitter_ms: float, seed: int
    ) -> None:
        streams = {
            "audio": Stream(Codec.OPUS, skew_ppm=skew_ppm),
            "video": Stream(Codec.H264, skew_ppm=skew_ppm, rtp_base=5, pipeline_ms=80),
        }
        errors = play(SenderClock(), streams, seconds=20, jitter_ms=jitter_ms, seed=seed)
        assert abs(errors["video"] - errors["audio"]) < 8

    @given(st.sampled_from(["audio", "video"]), st.sampled_from([-5000.0, 5000.0]))
    @settings(deadline=None)
    def test_reports_that_no_output_could_wait_for_are_not_believed(self, key: str, error_ms: float) -> None:
        errors = play(SenderClock(), call(), seconds=10, report_error_ms={key: error_ms})
        assert abs(errors["audio"] - 10) < 1
        assert abs(errors["video"] - 70) < 1  # as by arrival alone

    @given(st.sampled_from(["audio", "video"]), st.sampled_from([-300.0, 300.0]))
    @settings(deadline=None)
    def test_reports_that_are_always_wrong_cost_what_they_say(self, key: str, error_ms: float) -> None:
        errors = play(SenderClock(), call(), seconds=20, report_error_ms={key: error_ms})
        sign = 1 if key == "video" else -1
        assert abs(errors["video"] - errors["audio"] - sign * error_ms) < 2

    def test_reports_that_jump_and_come_back_leave_what_was_believed(self) -> None:
        clock, streams = SenderClock(), call()
        play(clock, streams, seconds=10)
        errors = play(clock, streams, seconds=2.5, start_s=10, report_error_ms={"video": 300})
        assert abs(errors["video"] - errors["audio"]) < 2
        errors = play(clock, streams, seconds=10, start_s=12.5)
        assert abs(errors["video"] - errors["audio"]) < 2

    def test_missing_reports_of_one_stream_mean_arrival(self) -> None:
        clock = SenderClock()
        clock.report("video", SenderReport(0, EPOCH, 0))  # before any frame
        errors = play(clock, {"video": Stream(Codec.VP8, pipeline_ms=60)}, seconds=5)
        assert abs(errors["video"] - 70) < 1

    def test_an_hour_of_drift_is_followed(self) -> None:
        clock = SenderClock()
        streams = {
            "audio": Stream(Codec.OPUS, skew_ppm=100),
            "video": Stream(Codec.VP8, skew_ppm=100, rtp_base=9, pipeline_ms=40),
        }
        for minute in range(0, 60, 4):  # a look-in of two seconds every four minutes
            errors = play(clock, streams, seconds=2, start_s=minute * 60, report_every_s=0.4)
        assert abs(errors["audio"] - 10) < 20
        assert abs(errors["video"] - errors["audio"]) < 20

    def test_the_first_lead_of_pictures_is_not_approached_but_taken(self) -> None:
        clock, streams = SenderClock(), call()
        play(clock, {"video": streams["video"]}, seconds=5)  # alone: by arrival
        errors = play(clock, streams, seconds=0.3, start_s=5, report_every_s=0.2)
        assert abs(errors["video"] - errors["audio"]) < 1

    def test_the_first_report_of_a_stream_is_awaited_where_it_has_companions(self) -> None:
        clock, streams = SenderClock(), call()
        play(clock, {"video": streams["video"]}, seconds=0.3)
        assert list(clock.awaited("video")) == []
        play(clock, {"audio": streams["audio"]}, seconds=0.3, start_s=0.3)
        assert list(clock.awaited("video")) == [(70 * MS, None)]
        assert list(clock.awaited("audio")) == [(310 * MS, None)]
        play(clock, streams, seconds=0.3, start_s=0.6, report_every_s=0.2)
        assert list(clock.awaited("video")) == list(clock.awaited("audio")) == []

    @given(
        st.sampled_from([Codec.OPUS, Codec.VP8]),
        st.lists(
            st.tuples(st.integers(0, 200), st.integers(-400, 400) | st.none()), min_size=60, max_size=150
        ),
    )
    @settings(max_examples=40, deadline=None)
    def test_whatever_comes_after_the_first_second_time_goes_on(
        self, codec: Codec, steps: list[tuple[int, int | None]]
    ) -> None:
        clock, other = SenderClock(), Codec.OPUS if codec.is_video else Codec.VP8
        period, before = 40 * MS, 0
        for index in range(25 + len(steps)):
            jitter_ms, error_ms = steps[index - 25] if index >= 25 else (0, 0 if index == 20 else None)
            at = index * period
            for key, kind, late in (("tried", codec, jitter_ms), ("other", other, 0)):
                stream = clock.stream(key, kind)
                stream.observe(at * kind.clock_rate // S, at + late * MS)
                if error_ms is not None:
                    wrong = error_ms if key == "tried" else 0
                    rtp = at * kind.clock_rate // S
                    clock.report(key, SenderReport(rtp, EPOCH + at + wrong * MS, at + late * MS))
            mapped = clock.stream("tried", codec).capture_ns(at * codec.clock_rate // S)
            if index > 30:
                assert mapped > before
            before = mapped

    def test_another_ssrc_awaits_nothing_that_is_known(self) -> None:
        clock, streams = SenderClock(), call()
        play(clock, streams, seconds=3)
        clock.forget_timeline("video")
        clock.stream("video", Codec.VP8).observe(0, 3 * S)
        assert list(clock.awaited("video")) == []

    def test_another_ssrc_goes_on_in_sync_at_once(self) -> None:
        clock, streams = SenderClock(), call()
        play(clock, streams, seconds=10)
        clock.forget_timeline("video")
        streams["video"].rtp_base = 4_000_000_000
        errors = play(clock, streams, seconds=0.2, start_s=10)
        assert abs(errors["video"] - errors["audio"]) < 2


def test_times_before_a_pause_and_after_never_meet() -> None:
    clock = StreamClock(Codec.VP8)
    clock.observe(0, 0)
    before = clock.capture_ns(0)
    clock.observe(3600, 2 * PAUSE_NS)
    assert clock.capture_ns(3600) > before
