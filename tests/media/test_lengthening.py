"""Which fragments are joined: a page at rest has few key frames, what moves has them as often as ever."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.encoding import EncodedPicture
from media.lengthening import Lengthening
from recorder.values import Canvas
from tests.support.pages import Page, page_at, page_of, pictures_of, recorded, spans

SECOND = 1_000_000_000
FRAGMENT_NS = 2 * SECOND
FULL_HD = Canvas(width=1920, height=1080)


def at_cuts(
    picture_bytes: int, *, changed: bool = True, between_s: float = 0.2, until_s: float = 18
) -> list[bool]:
    """Which of nine cuts two seconds apart are key frames, where each picture between two takes so much.

    After `until_s` nothing changes any more.
    """
    lengthening, keyframes = Lengthening(FULL_HD, FRAGMENT_NS), []
    for number in range(round(18 / between_s)):
        at_s = number * between_s
        cut = number % round(2 / between_s) == 0
        moves = changed and at_s <= until_s
        pts = round(at_s * 90_000)
        keyframe = lengthening.add(round(at_s * SECOND), pts, cut=cut, changed=moves)
        size = 90_000 if keyframe else picture_bytes if moves else 70
        lengthening.coded([EncodedPicture(bytes(size), pts, keyframe)])
        if cut:
            keyframes.append(keyframe)
    return keyframes


FEW = [True, False, False, False, True, False, False, False, True]


def test_a_page_at_rest_has_a_quarter_of_the_key_frames() -> None:
    assert at_cuts(70) == FEW
    assert at_cuts(210) == FEW
    assert at_cuts(5000, changed=False) == FEW  # the same picture, coded better


def test_what_moves_has_all_of_them() -> None:
    assert at_cuts(1000) == [True] * 9


def test_what_has_come_to_rest_before_a_cut_needs_no_key_frame_there() -> None:
    assert at_cuts(1000, until_s=5.5) == [True] * 3 + [False] * 3 + [True] + [False] * 2
    assert at_cuts(1000, until_s=5.7) == [True] * 4 + [False] * 3 + [True] + [False]
    assert at_cuts(1000, between_s=1) == FEW  # pages that are turned: at rest most of the time


def test_a_key_frame_can_be_asked_for() -> None:
    lengthening = Lengthening(FULL_HD, FRAGMENT_NS)
    cuts = [lengthening.add(n * FRAGMENT_NS, n, cut=True, changed=False) for n in range(2)]
    lengthening.begin_next()
    cuts += [lengthening.add(n * FRAGMENT_NS, n, cut=True, changed=False) for n in range(2, 7)]
    assert cuts == [True, False, True, False, False, False, True]


def test_a_scrolled_page_begins_fragments_and_a_turned_one_need_not() -> None:
    pages = [Page(0, 0), Page(9.3, 1), Page(20, 2, scrolled=True), Page(25, 3)]
    made = recorded(pages, 40)
    starts = [start_s for start_s, _ in spans(made)]
    assert starts[:3] == [0, 6.5, 14.5]  # the page that is turned at 9.3 s is at rest at all cuts
    assert any(20 < start <= 22 for start in starts)
    assert (
        max(length for start, length in spans(made) if 20 < start < 24) <= 2
    )  # scrolled across the cut at its end
    assert max(length for _, length in spans(made)) == pytest.approx(8)
    for time_s, luma in pictures_of(made.finalised):
        assert page_of(luma) == page_at(pages, time_s).gray


@given(st.lists(st.integers(0, 30), max_size=8, unique=True))
@settings(max_examples=8, deadline=None)
def test_fragments_are_whole_and_follow_each_other(turns: list[int]) -> None:
    pages = [Page(0, 0), *(Page(at / 1.7 + 0.1, number) for number, at in enumerate(sorted(turns), start=1))]
    made = recorded(pages, 20)
    assert all(left[0] + left[1] == pytest.approx(right[0]) for left, right in pairwise(spans(made)))
    assert max(length for _, length in spans(made)) <= 8.001
    assert all(page_of(luma) == page_at(pages, at).gray for at, luma in pictures_of(made.finalised))
