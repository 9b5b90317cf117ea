"""Names: what is drawn can be read, whatever the name and whatever fonts the machine has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.video import labels
from media.video.labels import initials, legible, name_tag, placeholder
from recorder.kernel.limits import TEXT_CHARS_MAX


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the font inside Pillow is there."""
    monkeypatch.setattr(labels, "_faces", lambda: (None,))
    legible.cache_clear()
    name_tag.cache_clear()


@pytest.mark.usefixtures("bare_machine")
class TestOnABareMachine:
    def test_plain_latin_names_stay_as_they_are(self) -> None:
        assert legible("Conan O'Brien-Smith 2") == (None, "Conan O'Brien-Smith 2")

    def test_accents_may_be_lost_but_no_letter(self) -> None:
        assert legible("Amélie Ångström") == (None, "Amelie Angstrom")

    @pytest.mark.parametrize(
        ("name", "shown"), [("王小明", "WangXiaoMing"), ("Иван Петров", "Ivan Petrov"), ("Bob 🙂", "Bob")]
    )
    def test_other_scripts_are_transliterated_and_symbols_left_out(self, name: str, shown: str) -> None:
        assert legible(name) == (None, shown)

    def test_the_tag_has_ink(self) -> None:
        assert (name_tag("Иван", 24, 400).luma_add > 200 * 235).sum() > 50


@pytest.fixture(autouse=True)
def _forget_fonts() -> None:
    legible.cache_clear()
    name_tag.cache_clear()


@pytest.mark.parametrize("name", ["", "   ", "\n\t", "\u202e\u200b", "🙂🙂"])
def test_a_name_of_nothing_visible_is_a_guest(name: str) -> None:
    assert legible(name)[1] == labels.NAMELESS


def test_line_breaks_and_direction_overrides_do_not_reach_the_canvas() -> None:
    assert legible("Eve\n\u202eAgent\x00")[1] == "Eve Agent"


@given(st.text(max_size=TEXT_CHARS_MAX), st.integers(1, 60), st.integers(1, 800))
@settings(max_examples=60, deadline=None)
def test_any_name_gives_an_even_tag_inside_its_bounds(name: str, height: int, width_max: int) -> None:
    tag = name_tag(name, height, width_max)

    assert tag.width % 2 == tag.height % 2 == 0
    assert 2 <= tag.width <= max(2, width_max)
    assert tag.luma_keep.shape == (tag.height, tag.width)
    assert tag.chroma_add.shape == (tag.height // 2, tag.width // 2)
    for keep, add in ((tag.luma_keep, tag.luma_add), (tag.chroma_keep, tag.chroma_add)):
        assert int((keep.astype(np.uint32) * 255 + add).max()) >> 8 <= 255  # weights cannot overflow a sample


def test_white_text_on_the_plate_keeps_its_contrast_over_a_white_picture() -> None:
    tag = name_tag("Visitor", 28, 400)
    blended = (235 * tag.luma_keep + tag.luma_add) >> 8
    luminance = ((blended.astype(float) - 16) / 219).clip(0, 1) ** 2.2

    assert (luminance.max() + 0.05) / (np.median(luminance) + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_a_long_name_ends_in_an_ellipsis_and_fits() -> None:
    assert name_tag("Bartholomew " * 20, 24, 200).width <= 200


@pytest.mark.parametrize(
    ("name", "letters"), [("Ada Lovelace", "AL"), ("ada", "A"), ("J. R. R. Tolkien", "JT"), ("(x)", "(")]
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_a_placeholder_has_a_colour_of_its_own_and_is_the_same_again() -> None:
    one, other = (np.frombuffer(placeholder("A", key, 320, 180), np.uint8) for key in ("1", "2"))

    assert np.array_equal(one, np.frombuffer(placeholder("A", "1", 320, 180), np.uint8))
    assert not np.array_equal(one, other)


@given(st.text(max_size=40), st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_placeholder_of_any_size_can_be_drawn(name: str, width: int, height: int) -> None:
    assert len(placeholder(name, "key", width, height)) == width * height * 4
