from hypothesis import given
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec
from media.sync.one_way_delay import ONE_WAY_NS_MAX, SLEW_PPM, OneWayDelay
from media.sync.timeline import SenderClock

MS = 1_000_000
S = 1_000_000_000


class TestDistance:
    def test_is_half_of_a_round_trip_that_is_known_before_the_first_frame(self) -> None:
        distance = OneWayDelay()
        distance.measured(80 * MS, 0)
        assert distance.one_way_ns == 40 * MS

    def test_the_shortest_round_trip_counts(self) -> None:
        distance = OneWayDelay()
        for number, round_trip_ms in enumerate((90, 60, 150, 70)):
            distance.measured(round_trip_ms * MS, number)
        assert distance.one_way_ns == 30 * MS

    def test_a_peer_that_answers_late_is_not_believed_for_ever(self) -> None:
        distance = OneWayDelay()
        distance.measured(5 * S, 0)
        assert distance.one_way_ns == ONE_WAY_NS_MAX

    def test_what_is_measured_later_is_approached(self) -> None:
        distance = OneWayDelay()
        distance.pass_time(0)
        distance.measured(20 * MS, 1)
        assert distance.one_way_ns == 0
        distance.pass_time(5 * S)
        assert distance.one_way_ns == 5 * S * SLEW_PPM // 1_000_000
        distance.pass_time(20 * S)
        assert distance.one_way_ns == 10 * MS

    def test_a_way_that_got_longer_is_believed_in_time(self) -> None:
        distance = OneWayDelay()
        for at_s in range(0, 300, 4):
            distance.measured(20 * MS if at_s < 60 else 60 * MS, at_s * S)
            distance.pass_time(at_s * S)
        assert abs(distance.one_way_ns - 30 * MS) < 1 * MS

    @given(st.lists(st.tuples(st.integers(0, 2 * S), st.integers(0, 100 * S), st.booleans()), max_size=50))
    def test_stays_within_bounds_and_never_jumps_after_the_first_frame(
        self, happenings: list[tuple[int, int, bool]]
    ) -> None:
        distance, newest = OneWayDelay(), 0
        distance.pass_time(0)
        for round_trip, at, frame in happenings:
            before = distance.one_way_ns
            if frame:
                distance.pass_time(at)
                assert abs(distance.one_way_ns - before) <= max(0, at - newest) * SLEW_PPM // 1_000_000
                newest = max(newest, at)
            else:
                distance.measured(round_trip, at)
                assert distance.one_way_ns == before
            assert 0 <= distance.one_way_ns <= ONE_WAY_NS_MAX


def test_all_streams_of_a_sender_move_alike() -> None:
    clock = SenderClock()
    sound, picture = clock.stream("a", Codec.OPUS), clock.stream("v", Codec.VP8)
    for number in range(250):
        at = number * 20 * MS
        clock.distance.measured(60 * MS, at)
        sound.observe(number * 960, at + 30 * MS)
        picture.observe(number * 1_800, at + 30 * MS)
        assert sound.capture_ns(number * 960) == picture.capture_ns(number * 1_800)
    assert sound.capture_ns(0) == 0
