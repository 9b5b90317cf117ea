"""The ways that docs/design.md shows: files are there, and what an arrow calls is defined where it points."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DIAGRAM = re.compile(r"^### (.*?)\n```mermaid\nsequenceDiagram\n(.*?)```", re.DOTALL | re.MULTILINE)
PARTICIPANT = re.compile(r"participant (\w+) as (\S+)")
CALL = re.compile(r"(\w+)->>(\w+): (\w+)$", re.MULTILINE)
WAYS = dict(DIAGRAM.findall((ROOT / "docs/design.md").read_text()))


@cache
def defined(name: str) -> frozenset[str]:
    tree = ast.parse((ROOT / name).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_five_ways_are_shown() -> None:
    assert len(WAYS) == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_way_calls_what_is_there(way: str) -> None:
    files = dict(PARTICIPANT.findall(WAYS[way]))
    calls = CALL.findall(WAYS[way])
    assert len(calls) >= 5
    for caller, callee, function in calls:
        assert caller in files, caller
        assert function in defined(files[callee]), f"{files[callee]} defines no {function}"


@pytest.mark.parametrize("way", WAYS)
def test_whoever_calls_knows_the_name(way: str) -> None:
    files = dict(PARTICIPANT.findall(WAYS[way]))
    for caller, _, function in CALL.findall(WAYS[way]):
        source = (ROOT / files[caller]).read_text()
        assert re.search(rf"\b{function}\b", source), f"{files[caller]} says nothing of {function}"
