from hypothesis import given
from hypothesis import strategies as st

from media.rtp.stall_compensator import LAG_NS_MAX, StallCompensator

MS = 1_000_000


def test_a_process_that_is_on_time_takes_now_for_now() -> None:
    assert StallCompensator().read_up_to(5_000 * MS, 0) == 5_000 * MS


def test_after_a_hold_up_the_past_is_given_time_to_be_read() -> None:
    hold_up = StallCompensator()
    assert hold_up.read_up_to(2_000 * MS, 800 * MS) == 1_200 * MS
    assert hold_up.read_up_to(2_800 * MS, 0) == 2_400 * MS
    assert hold_up.read_up_to(3_600 * MS, 0) == 3_600 * MS


@given(st.lists(st.tuples(st.integers(0, 2_000 * MS), st.integers(0, 1_999 * MS)), max_size=30))
def test_it_never_runs_ahead_nor_lags_beyond_its_bound(ticks: list[tuple[int, int]]) -> None:
    hold_up, now = StallCompensator(), 10_000 * MS
    for passed, late in ticks:
        now += passed
        assert now - LAG_NS_MAX <= hold_up.read_up_to(now, late) <= now - min(late, LAG_NS_MAX)
