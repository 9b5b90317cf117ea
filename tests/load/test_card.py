"""The card: its number is found again at any size that a tile has, and not where it is covered."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from hypothesis import given
from hypothesis import strategies as st

from recorder.load.publisher.card import BITS, Luma, draw, luma_of, read


def scaled(card: Luma, width: int, height: int) -> Luma:
    colour = np.full((card.shape[0] // 2, card.shape[1]), 128, np.uint8)
    picture = av.VideoFrame.from_ndarray(np.vstack((card, colour)), format="yuv420p")
    return luma_of(VideoReformatter().reformat(picture, width, height, "yuv420p"))


@given(number=st.integers(0, 2**BITS - 1), moving=st.booleans())
def test_a_number_is_read_where_it_was_drawn(number: int, moving: bool) -> None:
    assert read(draw(number, width=320, height=180, fps=25, moving=moving, lamp=True)) == number


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (426, 240), (212, 120)])
def test_a_number_is_read_at_other_sizes(size: tuple[int, int]) -> None:
    for number in (0, 1, 170, 341, 399):
        card = draw(number, width=640, height=360, fps=25, moving=True, lamp=True)
        assert read(scaled(card, *size)) == number


def test_what_is_no_card_has_no_number() -> None:
    assert read(np.full((180, 320), 128, np.uint8)) is None
    card = draw(7, width=320, height=180, fps=25, moving=True, lamp=True)
    card[8:90] = 128
    assert read(card) is None
