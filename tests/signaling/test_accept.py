import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.whip.accept import accepts


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("application/sdp", True),
        ("Application/SDP;q=0.1", True),
        ("text/html, application/sdp", True),
        ("text/html", False),
        ("application/json", False),
        ("application/sdp;q=0", False),
        ("*/*, application/sdp;q=0", False),  # the most specific range decides
        ("application/*;q=0, application/sdp", True),
        ("application/*;q=0, */*", False),
        ("application/sdp;q=much", True),
    ],
)
def test_accept(header: str | None, expected: bool) -> None:
    assert accepts(header, "application/sdp") is expected


@given(st.text())
def test_any_header_gets_an_answer(header: str) -> None:
    assert accepts(header, "application/sdp") in (True, False)
