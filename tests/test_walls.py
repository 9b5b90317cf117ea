"""The walls between packages, and which file may touch which library: docs/design.md, executable."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("recorder", "signaling", "media", "storage")
CONFINED = {  # library: the files, or folders, that may import it
    "aiohttp": {"signaling", "recorder/app.py", "recorder/demo", "recorder/webhooks/sender.py"},
    "aiortc": {"media/webrtc/dtls.py", "media/webrtc/ice.py", "recorder/demo"},
    "aioice": {"media/webrtc/ice.py", "recorder/demo"},
    "pylibsrtp": {"media/webrtc/srtp.py"},
    "aioboto3": {"storage/stores/s3/connection.py"},
    "botocore": {"storage/stores/s3/connection.py", "storage/stores/s3/errors.py"},
    "azure": {"storage/stores/azure"},
    "asyncssh": {"storage/stores/sftp"},
    "sqlalchemy": {"recorder/database", "recorder/migrations"},
    "asyncpg": {"recorder/database/connection.py"},
    "alembic": {"recorder/database", "recorder/migrations"},
    "uvloop": {"recorder/cli.py", "recorder/worker/main.py", "recorder/worker/preload.py"},
}


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, as a dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed(path: Path, places: set[str]) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name == place or name.startswith(place + "/") for place in places)


@pytest.mark.parametrize("package", ["signaling", "media", "storage"])
def test_an_outer_package_knows_itself_and_the_kernel(package: str) -> None:
    strangers = set(PACKAGES) - {package, "recorder"}
    for path in modules(package):
        for name in imports(path):
            parts = name.split(".")
            assert parts[0] not in strangers, f"{path} imports {name}"
            assert parts[0] != "recorder" or parts[1] == "kernel", f"{path} imports {name}"


def test_the_kernel_is_standard_library_and_msgspec() -> None:
    for path in modules("recorder/kernel"):
        for name in imports(path):
            package = name.split(".")[0]
            inside = name.startswith("recorder.kernel.")
            assert inside or package == "msgspec" or package in sys.stdlib_module_names, (
                f"{path} imports {name}"
            )


@pytest.mark.parametrize("library", sorted(CONFINED))
def test_a_library_stays_where_it_belongs(library: str) -> None:
    for path in modules(*PACKAGES):
        if library in {name.split(".")[0] for name in imports(path)}:
            assert allowed(path, CONFINED[library]), f"{path} imports {library}"


def test_nothing_is_found_where_there_is_nothing_to_find() -> None:
    assert len(modules(*PACKAGES)) > 50
    assert "aiortc" in {name.split(".")[0] for name in imports(ROOT / "recorder/demo/publisher.py")}
