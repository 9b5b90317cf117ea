from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.video.quality_control import (
    EFFORTS,
    IDLE_NS,
    LAG_NS_MAX,
    RELAXED_FOR_NS,
    RELAXED_FOR_NS_MAX,
    Pacer,
    QualityController,
)

MS = 1_000_000
S = 1_000_000_000
FRAGMENT = 2 * S


def run(captures: list[int], *, fps: int = 25, until: int, slowness: int = 1) -> list[tuple[int, bool]]:
    """Let frames captured at these times be made into pictures, as the composition does it."""
    pacer = Pacer(fps=fps, fragment_ns=FRAGMENT)
    pacer.slow_down(slowness)
    made = [pacer.make(0)]
    pending = sorted(captures)
    while True:
        deadline = pacer.deadline()
        first = pending[0] if pending else deadline
        closing = deadline if first >= deadline else pacer.closing(first)
        if closing > until:
            return made
        taken = [at for at in pending if at <= closing]
        pending = pending[len(taken) :]
        made.append(pacer.make(max(taken) if taken else closing))


def steady(fps: float, *, phase: int = 0, until: int = 10 * S) -> list[int]:
    return [round(phase + index * S / fps) for index in range(1, int((until - phase) * fps / S))]


def test_a_steady_source_keeps_its_own_times() -> None:
    captures = steady(25, phase=7 * MS)
    made = [at for at, _ in run(captures, until=10 * S)]
    assert set(captures) <= set(made)
    assert len(made) - len(captures) <= 6  # a fragment's key frame may be one more


def test_a_trembling_source_loses_nothing() -> None:
    captures = [at + (index * 7919 % 21 - 10) * MS for index, at in enumerate(steady(25))]
    made = [at for at, _ in run(captures, until=10 * S)]
    assert sum(at in set(made) for at in captures) >= 0.99 * len(captures)


def test_two_sources_share_pictures() -> None:
    made = run(steady(25) + steady(25, phase=13 * MS), until=10 * S)
    assert len(made) <= 25 * 10 + 8


def test_many_quick_sources_do_not_exceed_the_rate() -> None:
    made = run([at for phase in range(9) for at in steady(60, phase=phase * MS)], until=10 * S)
    assert len(made) <= 25 * 10 + 8


def test_nothing_new_is_a_picture_a_second_and_a_key_frame_for_each_fragment() -> None:
    made = run([], until=20 * S)
    assert all(later - earlier <= IDLE_NS for (earlier, _), (later, _) in pairwise(made))
    assert len(made) <= 22


def test_slowness_divides_the_rate() -> None:
    assert len(run(steady(25), until=10 * S, slowness=4)) <= 10 * 25 // 4 + 10


@given(
    st.lists(st.integers(0, 12 * S), max_size=400),
    st.sampled_from([5, 15, 25, 60]),
    st.sampled_from([1, 2, 8]),
)
@settings(deadline=None)
def test_times_grow_and_no_fragment_is_too_long(captures: list[int], fps: int, slowness: int) -> None:
    made = run(captures, fps=fps, until=12 * S, slowness=slowness)
    times = [at for at, _ in made]
    cuts = [at for at, cut in made if cut] + [times[-1]]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(later - earlier <= FRAGMENT for earlier, later in pairwise(cuts))
    assert made[0] == (0, True)


class TestLoad:
    def test_lag_takes_rate_first_then_effort_then_resolution_and_rest_gives_them_back(self) -> None:
        load = QualityController()
        now, seen = 0, []
        for _ in range(40):
            now += LAG_NS_MAX // 2
            if load.observe(now, 2 * LAG_NS_MAX):
                seen.append(load.effort)
        assert seen == list(EFFORTS[1:])
        divisors = [effort.frame_rate_divisor for effort in EFFORTS]
        assert divisors == sorted(divisors)
        assert [effort.thorough for effort in EFFORTS] == [True, True, True, False, False, False]
        assert [effort.resolution_divisor for effort in EFFORTS] == [1, 1, 1, 1, 2, 2]
        seen.clear()
        for _ in range(40):
            now += RELAXED_FOR_NS // 4
            if load.observe(now, 0):
                seen.append(load.effort)
        assert seen == list(EFFORTS[-2::-1])

    def test_short_lag_changes_nothing(self) -> None:
        load = QualityController()
        assert not any(load.observe(now * MS, LAG_NS_MAX) for now in range(100))

    @pytest.mark.parametrize("enough", range(1, len(EFFORTS)))
    def test_a_machine_that_can_do_no_more_is_asked_less_and_less_often(self, enough: int) -> None:
        load, changes = QualityController(), []
        for now in range(0, 600 * S, S // 5):
            late = EFFORTS.index(load.effort) < enough
            if load.observe(now, 2 * LAG_NS_MAX if late else 0):
                changes.append(now)
        assert EFFORTS.index(load.effort) in (enough - 1, enough)
        assert len([at for at in changes if at >= 300 * S]) <= 2 * (300 * S // RELAXED_FOR_NS_MAX)

    def test_when_the_machine_recovers_for_good_it_is_asked_soon_again(self) -> None:
        load, reached = QualityController(), None
        for now in range(0, 600 * S, S // 5):
            late = now < 300 * S and EFFORTS.index(load.effort) < 4
            load.observe(now, 2 * LAG_NS_MAX if late else 0)
            if now >= 300 * S and load.effort == EFFORTS[0] and reached is None:
                reached = now
        assert reached is not None
        assert reached - 300 * S <= RELAXED_FOR_NS_MAX + len(EFFORTS) * RELAXED_FOR_NS
