"""Steps of a sound clock: found where they are, as long as they are, and never where there are none."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec
from media.sync.clock_steps import STEP_NS_MIN, STEPS_KEPT_MAX, SteadyClock, Step
from media.sync.timeline import SenderClock

MS, S = 1_000_000, 1_000_000_000
WORKED_IN_MS = 1000
PICTURE_NS, PACKET_NS = 40 * MS, 20 * MS


class Call:
    """Sound whose clock stands still beside pictures whose does not; errors are in ms."""

    def __init__(self, seed: int, jitter_ms: float, *, pictures: bool = True) -> None:
        self.clock = SenderClock()
        self._random = Random(seed)
        self._jitter_ns = jitter_ms * MS
        self._pictures = pictures
        self._arrivals: list[tuple[int, str, Codec, int]] = []

    def play(
        self,
        seconds: float,
        stalls: dict[int, int],
        *,
        later_way: tuple[int, int] = (0, 0),
        until_ms: int = 10**9,
    ) -> None:
        """Send everything; `stalls`: packet and ms of each, `later_way`: from when (to when), by how much."""
        self._later_until_ns = until_ms * MS
        self.sent: list[tuple[int, int]] = []  # timestamp, true capture time of the sound
        stood_ns = 0
        for number in range(round(seconds * S / PACKET_NS)):
            stood_ns += stalls.get(number, 0) * MS
            self.sent.append((number * 960, number * PACKET_NS + stood_ns))
            self._send("sound", Codec.OPUS, *self.sent[-1], later_way)
        for number in range(round(seconds * S / PICTURE_NS) if self._pictures else 0):
            self._send("picture", Codec.VP8, number * 3600, number * PICTURE_NS, later_way)
        self.errors_ms: list[tuple[float, float]] = []  # when, and how far off the newest sound then is
        true_ns = dict(self.sent)
        for arrival_ns, key, codec, timestamp in sorted(self._arrivals):
            stream = self.clock.observe(key, codec, timestamp, arrival_ns)
            if key == "sound":
                error_ns = stream.capture_ns(timestamp) - true_ns[timestamp]
                self.errors_ms.append((arrival_ns / MS, error_ns / MS))

    def _send(self, key: str, codec: Codec, timestamp: int, true_ns: int, later_way: tuple[int, int]) -> None:
        way_ns = later_way[1] * MS if later_way[0] * MS <= true_ns < self._later_until_ns else 0
        late_ns = round(self._random.random() * self._jitter_ns) + way_ns
        self._arrivals.append((true_ns + late_ns, key, codec, timestamp))


@given(st.integers(0, 10**6), st.integers(20, 1000), st.sampled_from([0.0, 10.0]))
@settings(max_examples=30, deadline=None)
def test_a_step_is_worked_in_within_a_second_and_never_overshot(
    seed: int, length_ms: int, jitter_ms: float
) -> None:
    call = Call(seed, jitter_ms)
    call.play(6.0, {150: length_ms})
    over_ms = 3000 + length_ms
    assert all(abs(error) < 6 for at_ms, error in call.errors_ms if 1000 < at_ms < 3000)
    assert all(abs(error) < 12 for at_ms, error in call.errors_ms if at_ms > over_ms + WORKED_IN_MS)
    assert max(error for at_ms, error in call.errors_ms if at_ms > 1000) < 12


@given(st.integers(0, 10**6), st.sampled_from([20, 40, 100, 300]))
@settings(max_examples=20, deadline=None)
def test_what_was_before_a_step_stays_where_it_is(seed: int, length_ms: int) -> None:
    call = Call(seed, 10.0)
    call.play(12.0, dict.fromkeys(range(65, 520, 65), length_ms))
    sound = call.clock.stream("sound", Codec.OPUS)
    far = [abs(sound.capture_ns(timestamp) - true_ns) / MS for timestamp, true_ns in call.sent[:-60]]
    assert max(far) < 15


@given(st.integers(0, 10**6), st.floats(0, 120))
@settings(max_examples=20, deadline=None)
def test_jitter_is_no_step(seed: int, jitter_ms: float) -> None:
    call = Call(seed, jitter_ms)
    call.play(30.0, {})
    assert call.clock.stream("sound", Codec.OPUS).steady(0) == 0
    assert call.clock.stream("sound", Codec.OPUS).steady(10**9) == 10**9


@given(st.integers(0, 10**6), st.integers(40, 280))
@settings(max_examples=15, deadline=None)
def test_a_longer_way_of_all_streams_is_no_step(seed: int, longer_ms: int) -> None:
    call = Call(seed, 10.0)
    call.play(12.0, {}, later_way=(4000, longer_ms))
    assert call.clock.stream("sound", Codec.OPUS).steady(10**9) == 10**9
    assert max(abs(error) for _, error in call.errors_ms) < 15


@given(st.integers(0, 10**6), st.integers(80, 1000))
@settings(max_examples=15, deadline=None)
def test_a_step_of_sound_alone_is_found_too(seed: int, length_ms: int) -> None:
    call = Call(seed, 10.0, pictures=False)
    call.play(8.0, {150: length_ms})
    after = [error for at_ms, error in call.errors_ms if at_ms > 3000 + length_ms + 1500]
    assert max(map(abs, after)) < 15


def test_more_steps_than_are_kept_still_count() -> None:
    clock = SteadyClock(48_000)
    for number in range(1, 2 * STEPS_KEPT_MAX + 1):
        clock.stand_still(Step(number * 1000, 1_000_000, 0))
    assert clock.shift(10**9) == 2 * STEPS_KEPT_MAX * 48
    for number in range(STEPS_KEPT_MAX + 1, 2 * STEPS_KEPT_MAX + 1):
        assert clock.shift(number * 1000) == number * 48
        assert clock.shift(number * 1000 - 1) == (number - 1) * 48


def test_a_step_that_was_none_is_taken_back_where_it_was() -> None:
    clock = SteadyClock(48_000)
    clock.stand_still(Step(1_000, 100 * MS, 0))
    clock.stand_still(Step(2_000, 50 * MS, 0))
    assert clock.take_back(80 * MS) == 80 * MS
    assert [clock.shift(timestamp) // 48 for timestamp in (999, 1_000, 1_999, 2_000)] == [0, 70, 70, 70]
    assert clock.take_back(100 * MS) == 70 * MS
    assert clock.shift(10**9) == 0


@given(st.integers(0, 10**6), st.integers(100, 900))
@settings(max_examples=15, deadline=None)
def test_sound_that_catches_up_was_late_and_its_clock_never_stood_still(seed: int, late_ms: int) -> None:
    call = Call(seed, 10.0, pictures=False)
    call.play(10.0, {}, later_way=(3000, late_ms), until_ms=6000)
    assert call.clock.stream("sound", Codec.OPUS).steady(10**9) - 10**9 <= STEP_NS_MIN * 48_000 // S
    assert max(abs(error) for at_ms, error in call.errors_ms if at_ms > 6000 + late_ms) < 15
