"""How often the renderer is woken: small pictures wait for each other, but never long."""

from hypothesis import given
from hypothesis import strategies as st

from media.webrtc.network.udp import BEAT_S
from media.webrtc.read_interval import BATCH_S_MAX, BATCH_S_MIN, batch_s
from recorder.kernel.media import Canvas


def test_the_usual_canvas_and_sound_alone_are_handed_over_five_times_a_second() -> None:
    assert batch_s(Canvas()) == batch_s(None) == 0.2
    assert batch_s(Canvas(width=1920, height=1080)) == 0.2


def test_small_pictures_wait_for_each_other() -> None:
    assert batch_s(Canvas(width=640, height=480, fps=15)) == BATCH_S_MAX
    assert batch_s(Canvas(width=1280, height=720, fps=15)) == 0.4


@given(st.integers(8, 2000), st.integers(8, 1200), st.integers(1, 60))
def test_a_batch_is_whole_beats_within_its_bounds(width: int, height: int, fps: int) -> None:
    length_s = batch_s(Canvas(width=2 * width, height=2 * height, fps=fps))
    assert BATCH_S_MIN <= length_s <= BATCH_S_MAX
    assert abs(length_s / BEAT_S - round(length_s / BEAT_S)) < 1e-9
    assert length_s <= batch_s(Canvas(width=width, height=2 * height, fps=fps))
