"""State diagrams: what docs show is what the tables say."""

from pathlib import Path

import pytest

from recorder.diagrams import DIAGRAMS, drawn, mermaid

PAGES = sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_current(page: Path) -> None:
    text = page.read_text()
    assert text == drawn(text), f"run: python -m recorder.diagrams docs/{page.name}"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_diagram_stands_somewhere(name: str) -> None:
    assert any(f"<!-- states: {name} -->" in page.read_text() for page in PAGES)


def test_moves_between_the_same_states_are_one_arrow() -> None:
    moves = [("A", "Go", "B"), ("A", "Run", "B"), ("A", "Stay", "A"), ("B", "Back", "A")]
    assert mermaid(moves, "A").splitlines()[2:5] == [
        "    [*] --> A",
        "    A --> B: Go, Run",
        "    B --> A: Back",
    ]
