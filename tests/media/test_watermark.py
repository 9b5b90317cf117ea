from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from media.sync.watermark import CATCH_UP, HANDOVER_NS, MARGIN_NS_MAX, MARGIN_NS_MIN, Progress, Watermark

S = 1_000_000_000
WAIT = 1 * S


def test_without_sources_it_follows_now() -> None:
    assert Watermark(reorder_wait_ns=WAIT).advance(10 * S, []) == 10 * S - MARGIN_NS_MIN


def test_a_blocked_source_is_waited_for_where_it_stopped() -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    assert mark.advance(10 * S, [Progress(9 * S, 9_500_000_000)]) == 9 * S


def test_a_blocked_source_that_delivered_nothing_yet_holds_its_beginning() -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    assert mark.advance(10 * S, [Progress(None, 9_800_000_000)]) == 9_800_000_000 - MARGIN_NS_MIN


def test_waiting_ends_with_the_budget() -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    held = [Progress(5 * S, 9 * S)]
    assert (
        mark.advance(9 * S + WAIT + HANDOVER_NS + 1, held) == 9 * S + WAIT + HANDOVER_NS + 1 - MARGIN_NS_MIN
    )


def test_what_was_held_up_is_caught_up_with_at_a_measured_pace() -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    mark.begin(9 * S)
    instants = [mark.advance(10 * S + tick * 40_000_000, []) for tick in range(20)]
    steps = [later - earlier for earlier, later in pairwise(instants)]
    assert instants[0] == 9 * S
    assert max(steps) == CATCH_UP * 40_000_000
    assert instants[-1] == 10 * S + 19 * 40_000_000 - MARGIN_NS_MIN


def test_late_frames_widen_the_margin_up_to_its_bound_and_are_forgotten() -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    mark.advance(10 * S, [])
    mark.observe(400_000_000)
    assert 400_000_000 < mark.margin_ns < 500_000_000
    mark.observe(30 * S)
    assert mark.margin_ns == MARGIN_NS_MAX
    mark.advance(1000 * S, [])
    assert mark.margin_ns == MARGIN_NS_MIN


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200_000_000),
            st.integers(-S, 3 * S),
            st.lists(
                st.tuples(st.integers(0, 20 * S) | st.none(), st.integers(0, 20 * S) | st.none()), max_size=4
            ),
        ),
        max_size=40,
    )
)
def test_it_never_goes_back_nor_waits_beyond_its_bound(steps: list) -> None:
    mark = Watermark(reorder_wait_ns=WAIT)
    now, before = 10 * S, None
    for passed, late, sources in steps:
        now += passed
        mark.observe(late)
        instant = mark.advance(now, [Progress(*source) for source in sources])
        assert before is None or instant >= before
        assert now - MARGIN_NS_MAX - WAIT - HANDOVER_NS <= instant <= now - MARGIN_NS_MIN
        before = instant
