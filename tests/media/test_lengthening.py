"""Which fragments are joined: a page at rest has few key frames, what moves has them as often as ever."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.mux.fragment_joiner import FragmentJoiner
from media.video.encoder import EncodedPicture
from tests.support.pages import Page, page_at, page_of, pictures_of, recorded, spans

SECOND = 1_000_000_000
FRAGMENT_NS = 2 * SECOND
KEYFRAME_BYTES = 80_000  # a page of text at 1920x1080
FEW = [True, False, False, False, True, False, False, False, True]


def at_cuts(moving: int, *, until_s: float = 18, still: int = 70) -> list[bool]:
    """Which of nine cuts two seconds apart are key frames, at 25 pictures a second.

    A picture takes `moving` bytes up to `until_s`, then `still` bytes.
    """
    lengthening, keyframes = FragmentJoiner(FRAGMENT_NS), []
    for number in range(18 * 25):
        at_s, pts = number / 25, number * 3600
        cut = number % 50 == 0
        keyframe = lengthening.add(round(at_s * SECOND), pts, cut=cut)
        size = KEYFRAME_BYTES if keyframe else moving if at_s <= until_s else still
        lengthening.coded([EncodedPicture(bytes(size), pts, keyframe)])
        if cut:
            keyframes.append(keyframe)
    return keyframes


def test_a_page_at_rest_has_a_quarter_of_the_key_frames() -> None:
    assert at_cuts(70) == FEW
    assert at_cuts(500) == FEW  # its sender still sharpens it


def test_what_moves_has_all_of_them() -> None:
    assert at_cuts(2000) == [True] * 9


def test_what_has_come_to_rest_before_a_cut_needs_no_key_frame_there() -> None:
    assert at_cuts(2000, until_s=5.4) == [True] * 3 + [False] * 3 + [True] + [False] * 2
    assert at_cuts(2000, until_s=5.9) == [True] * 4 + [False] * 3 + [True] + [False]


def test_one_picture_a_second_is_at_rest_whatever_it_takes() -> None:
    lengthening, keyframes = FragmentJoiner(FRAGMENT_NS), []
    for second in range(18):
        keyframes.append(lengthening.add(second * SECOND, second * 90_000, cut=second % 2 == 0))
        lengthening.coded([EncodedPicture(bytes(KEYFRAME_BYTES), second * 90_000, keyframes[-1])])
    assert keyframes[::2] == FEW


def test_a_key_frame_can_be_asked_for() -> None:
    lengthening = FragmentJoiner(FRAGMENT_NS)
    cuts = [lengthening.add(n * FRAGMENT_NS, n, cut=True) for n in range(2)]
    lengthening.begin_next()
    cuts += [lengthening.add(n * FRAGMENT_NS, n, cut=True) for n in range(2, 7)]
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
