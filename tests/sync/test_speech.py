"""Sound over a link that loses a tenth of it: hardly any is made up where a sender sees to it."""

import pytest

from benchmarks.speech import WAYS, outcome

LOSS = 0.10
MADE_UP_MAX = 0.005
STOI_MIN = 0.99  # 1 is as it was sent; with nothing done about the losses it is 0.90


@pytest.mark.parametrize(
    "way",
    [
        "RED and FEC",
        pytest.param("RED of two and FEC", marks=pytest.mark.slow),
        pytest.param("sent again", marks=pytest.mark.slow),
        pytest.param("sent again, and FEC", marks=pytest.mark.slow),
    ],
)
def test_hardly_any_speech_is_made_up(way: str) -> None:
    made = outcome(WAYS[way], LOSS)
    assert made.concealed <= MADE_UP_MAX, made
    assert made.stoi >= STOI_MIN, made
