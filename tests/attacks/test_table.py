"""The table of attacks in docs/security.md is the one that is tried, and tests that it names are there."""

import ast
from pathlib import Path

import pytest

from tests.attacks import test_attacks as attacks
from tests.attacks.table import ATTACKS, ELSEWHERE, ORDER, table

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- attacks -->\n", "<!-- end of attacks -->"


def test_the_page_shows_what_is_tried() -> None:
    """Made again by `python -m tests.attacks`."""
    assert attacks.MODULES
    page = (ROOT / "docs" / "security.md").read_text()
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == table()


def test_every_row_is_of_somebody_known() -> None:
    assert {row.who for row in (*ATTACKS, *ELSEWHERE)} == set(ORDER)


@pytest.mark.parametrize("test", [test for row in ELSEWHERE for test in row.tests])
def test_what_is_tried_elsewhere_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in names
