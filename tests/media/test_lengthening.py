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


def at_cuts(picture_bytes: int, *, changed: bool = True) -> list[bool]:
    """Which of nine cuts two seconds apart are key frames, where a picture between two takes so much."""
    lengthening, keyframes = Lengthening(FULL_HD, FRAGMENT_NS), []
    for second in range(18):
        cut = second % 2 == 0
        keyframes.append(lengthening.add(second * SECOND, second * 90_000, cut=cut, changed=changed))
        size = 90_000 if keyframes[-1] else 70 if cut else picture_bytes
        lengthening.coded([EncodedPicture(bytes(size), second * 90_000, keyframes[-1])])
    return keyframes[::2]


def test_a_page_at_rest_has_a_quarter_of_the_key_frames() -> None:
    few = [True, False, False, False, True, False, False, False, True]
    assert at_cuts(70) == few
    assert at_cuts(210) == few
    assert at_cuts(5000, changed=False) == few  # the same picture, coded better


def test_what_moves_has_all_of_them() -> None:
    assert at_cuts(1000) == [True] * 9


def test_a_key_frame_can_be_asked_for() -> None:
    lengthening = Lengthening(FULL_HD, FRAGMENT_NS)
    cuts = [lengthening.add(n * FRAGMENT_NS, n, cut=True, changed=False) for n in range(2)]
    lengthening.begin_next()
    cuts += [lengthening.add(n * FRAGMENT_NS, n, cut=True, changed=False) for n in range(2, 7)]
    assert cuts == [True, False, True, False, False, False, True]


def test_a_turned_page_begins_a_fragment_soon() -> None:
    pages = [Page(0, 0), Page(9.3, 1), Page(20, 2, scrolled=True), Page(25, 3)]
    made = recorded(pages, 40)
    starts = [start_s for start_s, _ in spans(made)]
    assert starts[:2] == [0, 6.5]
    assert any(9.3 < start <= 11.4 for start in starts)
    assert any(20 < start <= 22 for start in starts)
    assert max(length for start, length in spans(made) if 20 < start < 25) <= 2
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
