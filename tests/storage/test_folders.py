"""The folders of storage: who may import whom, and no circle of files anywhere."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

STORAGE = Path(__file__).parents[2] / "storage"
BASE = {"keys", "errors", "settings", "store"}
MAY_IMPORT = {  # a folder, or a file beside them: what it may import besides itself
    "keys": set(),
    "errors": set(),
    "settings": set(),
    "store": {"errors", "keys"},
    "spool": {"keys", "errors"},
    "upload_plan": BASE | {"spool"},
    "takeover": BASE | {"spool", "upload_plan"},
    "finalise": BASE | {"spool", "upload_plan"},
    "upload": BASE | {"spool", "upload_plan", "takeover", "finalise"},
    "stores": BASE | {"spool"},
    "open_store": BASE | {"stores"},
    "reading": BASE | {"spool"},
    "objects": BASE,
    "identity": BASE,
    "copying": BASE | {"upload_plan"},
}


def imports() -> dict[str, set[str]]:
    """Every module of storage with those that it imports, wherever in it."""
    names = {path: _name(path) for path in STORAGE.rglob("*.py")}
    known = set(names.values())
    return {name: _imported(path, known) - {name} for path, name in names.items()}


def _name(path: Path) -> str:
    parts = ("storage", *path.relative_to(STORAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def _imported(path: Path, known: set[str]) -> set[str]:
    froms = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    full = {(f"{node.module}.{alias.name}", str(node.module)) for node in froms for alias in node.names}
    return {name if name in known else module for name, module in full} & known


def _place(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_a_folder_imports_what_its_row_says() -> None:
    for module, imported in imports().items():
        for other in imported:
            here, there = _place(module), _place(other)
            assert here == there or there in MAY_IMPORT[here], f"{module} imports {other}"


def test_the_rows_and_the_files_have_no_circle() -> None:
    tuple(TopologicalSorter(MAY_IMPORT).static_order())
    tuple(TopologicalSorter(imports()).static_order())
