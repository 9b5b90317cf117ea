"""docs/seeds.md names files and tests: each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = sorted(
    set(
        re.findall(
            r"`((?:tests|recorder|signaling|media|storage)/[^`\s]+)`", (ROOT / "docs/seeds.md").read_text()
        )
    )
)


def test_there_is_something_to_look_for() -> None:
    assert len(NAMED) > 80


@pytest.mark.parametrize("named", NAMED)
def test_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    file = ROOT / path
    assert file.exists(), path
    if test:
        assert re.search(rf"\b(?:def|class) {test}\b", file.read_text()), named
