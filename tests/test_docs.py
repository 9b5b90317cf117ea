"""Docs for people: relative links lead to files, and files of the tree that a page names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(
    r"`((?:recorder|signaling|media|storage|tests|benchmarks|deploy)/[\w/.-]+\.\w+)(?:::[^`]*)?`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_files_are_there(page: Path) -> None:
    text = page.read_text()
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    if page.name != "CHANGELOG.md":
        missing += [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    assert not missing
