"""The walls between packages and folders, purity, and who may assign: tests/walls.py, executable."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.walls import (
    CONFINED,
    LIBRARY_OBJECTS,
    MODULES_PER_FOLDER_MAX,
    OUTER_PACKAGES,
    PACKAGES,
    ROOMS,
    TABLES,
    WORLD,
)

ROOT = Path(__file__).parents[1]
CALLS_ITSELF_PURE = re.compile(r"\bPure\b(?: values)?\.|; pure\b")


@cache
def files(package: str) -> tuple[Path, ...]:
    return tuple(sorted((ROOT / package).rglob("*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in it, as a dotted name."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def file_of(dotted: str) -> Path | None:
    """The file of ours that a dotted name stands for, or stands in."""
    parts = dotted.split(".")
    if parts[0] not in PACKAGES:
        return None
    for count in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:count])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.exists():
                return candidate
    return None


def imported_files(path: Path) -> set[Path]:
    return {found for name in imports(path) if (found := file_of(name)) is not None and found != path}


def room_of(path: Path) -> tuple[str, str]:
    """The package and the room in it that a file belongs to."""
    package, *inner = path.relative_to(ROOT).with_suffix("").parts
    if len(inner) == 1:
        return package, "" if inner[0] == "__init__" else inner[0]
    folder = "/".join(inner[:-1])
    while folder not in ROOMS[package] and "/" in folder:
        folder = folder.rpartition("/")[0]
    return package, folder


def allowed(path: Path, places: set[str]) -> bool:
    return any(place(path) == one or place(path).startswith(one + "/") for one in places)


@pytest.mark.parametrize("package", OUTER_PACKAGES)
def test_an_outer_package_knows_itself_and_the_kernel(package: str) -> None:
    for path in files(package):
        for name in imports(path):
            first, second = (*name.split("."), "")[:2]
            stranger = first in PACKAGES and first != package and (first, second) != ("recorder", "kernel")
            assert not stranger, (
                f"{place(path)} imports {name}: of others {package} may import recorder.kernel alone. "
                f"Values that both need belong there; behaviour is handed in by recorder, behind a Protocol."
            )


def test_the_kernel_is_standard_library_and_msgspec() -> None:
    for path in files("recorder/kernel"):
        for name in imports(path):
            package = name.split(".")[0]
            known = (
                name.startswith("recorder.kernel.")
                or package == "msgspec"
                or package in sys.stdlib_module_names
            )
            assert known, (
                f"{place(path)} imports {name}: what needs more than values belongs above the kernel."
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_is_a_room_of_the_table(package: str) -> None:
    assert {room_of(path)[1] for path in files(package)} - {""} <= set(ROOMS[package])


def upward_imports(path: Path) -> Iterator[str]:
    package, room = room_of(path)
    order = ROOMS[package]
    for other in sorted(imported_files(path)):
        theirs, above = room_of(other)
        if theirs == package and above and above != room and order.index(above) > order.index(room):
            yield (
                f"{place(path)} imports {place(other)}: {room} stands below {above}. "
                f"What both need belongs in {room} or below; what decides belongs in {above} or above."
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_only_rooms_below_it(package: str) -> None:
    found = [line for path in files(package) for line in upward_imports(path)]
    assert not found, "\n".join(found)


def circle_from(start: Path) -> list[str]:
    """The files on a way from a file back to itself; empty where there is none."""
    ways: dict[Path, list[str]] = {start: [place(start)]}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        for other in imported_files(here):
            if other == start:
                return [*ways[here], place(start)]
            if other not in ways:
                ways[other] = [*ways[here], place(other)]
                waiting.append(other)
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    for package in PACKAGES:
        for path in files(package):
            circle = circle_from(path)
            assert not circle, " -> ".join(circle)


def world_reached(path: Path) -> Iterator[str]:
    """How a file comes to touch the world, as the files on the way."""
    ways: dict[Path, list[str]] = {path: [place(path)]}
    waiting = [path]
    while waiting:
        here = waiting.pop()
        touched = {name.split(".")[0] for name in imports(here)} & WORLD
        if touched:
            yield " -> ".join([*ways[here], ", ".join(sorted(touched))])
        for other in imported_files(here):
            if other not in ways:
                ways[other] = [*ways[here], place(other)]
                waiting.append(other)


def calls_itself_pure(path: Path) -> bool:
    summary = (ast.get_docstring(parsed(path)) or "").split("\n\n")[0]
    return CALLS_ITSELF_PURE.search(summary) is not None


def pure_files() -> list[Path]:
    return [path for package in PACKAGES for path in files(package) if calls_itself_pure(path)]


@pytest.mark.parametrize("path", pure_files(), ids=place)
def test_what_calls_itself_pure_reaches_nothing_of_the_world(path: Path) -> None:
    assert not list(world_reached(path)), "time, chance and what is read are arguments of pure code"


@pytest.mark.parametrize("library", sorted(CONFINED))
def test_a_library_stays_where_it_belongs(library: str) -> None:
    for package in PACKAGES:
        for path in files(package):
            if library in {name.split(".")[0] for name in imports(path)}:
                rooms = ", ".join(sorted(CONFINED[library]))
                assert allowed(path, CONFINED[library]), f"{place(path)}: {library} belongs in {rooms}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_holds_few_modules(package: str) -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in files(package):
        if path.name != "__init__.py":
            counts[place(path.parent)] += 1
    crowded = {folder: count for folder, count in counts.items() if count > MODULES_PER_FOLDER_MAX}
    assert set(crowded) <= TABLES, f"more than {MODULES_PER_FOLDER_MAX} modules: {crowded}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_says_what_stands_in_it(package: str) -> None:
    for path in files(package):
        if path.name == "__init__.py" and path.parent.name != "versions":
            assert len(ast.get_docstring(parsed(path)) or "") > 40, (
                f"{place(path)} says nothing of its folder"
            )


def assigned_attributes(path: Path) -> Iterator[tuple[int, ast.Attribute]]:
    for node in ast.walk(parsed(path)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Attribute):
                    yield node.lineno, one


def own_attributes(path: Path) -> set[str]:
    """What the classes of a file call their own: fields, and what their methods set on `self`."""
    owned = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef):
            fields = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
            owned |= {field.id for field in fields if isinstance(field, ast.Name)}
    for _, attribute in assigned_attributes(path):
        if ast.unparse(attribute.value) == "self":
            owned.add(attribute.attr)
    return owned


def assigned_from_outside(path: Path) -> Iterator[str]:
    owned = own_attributes(path)
    for line, attribute in assigned_attributes(path):
        owner = ast.unparse(attribute.value)
        inside = owner in ("self", "cls") or attribute.attr in owned
        library = LIBRARY_OBJECTS.get(place(path), set())
        if not inside and owner.removeprefix("self._").split(".")[0].lstrip("_") not in library:
            yield f"{place(path)}:{line} {ast.unparse(attribute)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_assigns_to_an_object_from_outside(package: str) -> None:
    found = [line for path in files(package) for line in assigned_from_outside(path)]
    assert not found, "an object is changed by its own methods; what it needs is handed to its constructor"


def test_nothing_is_found_where_there_is_nothing_to_find() -> None:
    assert sum(len(files(package)) for package in PACKAGES) > 200
    assert len(pure_files()) > 40
    assert "aiortc" in {name.split(".")[0] for name in imports(ROOT / "recorder/demo/publisher.py")}
