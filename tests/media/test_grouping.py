"""Which fragments begin with a key frame: groups of several show one picture, and none is too long."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from media.grouping import Grouping
from media.pacing import Pacer

SECOND = 1_000_000_000
FRAGMENT_NS = 2 * SECOND
GROUP_NS_MAX = 6 * SECOND


def made(change_at_ns: list[int], until_ns: int) -> list[tuple[int, bool, bool, bool]]:
    """Time, whether a fragment begins, key frame, changed: of each picture, as the composition makes them."""
    pacer, grouping = Pacer(fps=25, fragment_ns=FRAGMENT_NS), Grouping(FRAGMENT_NS)
    changes = sorted({0, *change_at_ns})
    pictures = []
    while pacer.last_ns < until_ns:
        changed = bool(changes) and changes[0] <= max(pacer.deadline(), pacer.last_ns)
        closing = max(changes[0], pacer.last_ns) if changed else pacer.deadline()
        while changes and changes[0] <= closing:
            changes.pop(0)
        if changed and grouping.still:
            pacer.cut_next()
        at, cut = pacer.make(closing)
        pictures.append((at, cut, grouping.add(at, cut=cut, changed=changed), changed))
    return pictures


def test_a_page_at_rest_has_a_key_frame_every_six_seconds() -> None:
    keyframes = [at / SECOND for at, _, keyframe, _ in made([], 20 * SECOND) if keyframe]
    assert keyframes == [0, 0.5, 6.5, 12.5, 18.5]
    cuts = [at / SECOND for at, cut, _, _ in made([], 8 * SECOND) if cut]
    assert cuts == [0, 0.5, 2.5, 4.5, 6.5, 8.5]  # what a crash costs stays as it was


def test_what_moves_has_one_for_each_fragment() -> None:
    pictures = made(list(range(0, 10 * SECOND, SECOND // 25)), 10 * SECOND)
    assert all(keyframe is cut for _, cut, keyframe, _ in pictures)


def test_a_change_of_a_page_at_rest_begins_a_group() -> None:
    keyframes = [at / SECOND for at, _, keyframe, _ in made([round(4.7 * SECOND)], 12 * SECOND) if keyframe]
    assert keyframes == [0, 0.5, 4.7, 10.7]


def test_a_key_frame_can_be_asked_for() -> None:
    grouping = Grouping(FRAGMENT_NS)
    at = [grouping.add(number * FRAGMENT_NS, cut=True, changed=False) for number in range(3)]
    grouping.begin_next()
    assert at == [True, True, False]
    assert grouping.add(int(5.5 * SECOND), cut=True, changed=False)
    assert not grouping.add(int(7.5 * SECOND), cut=True, changed=False)


@given(st.lists(st.integers(0, 30 * SECOND), max_size=80))
def test_groups_of_several_fragments_show_one_picture(change_at_ns: list[int]) -> None:
    pictures = made(change_at_ns, 30 * SECOND)
    begun = 0
    fragments = 0
    changed_within = False
    for at, cut, keyframe, changed in pictures:
        assert cut or not keyframe
        if keyframe:
            begun, fragments, changed_within = at, 1, False
        else:
            fragments += cut
            changed_within |= changed
        assert fragments == 1 or not changed_within
        assert at - begun <= GROUP_NS_MAX
    times = [at for at, _, keyframe, _ in pictures if keyframe]
    assert all(later - earlier >= 1.8 * SECOND for earlier, later in pairwise(times[1:]))
