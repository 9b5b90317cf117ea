"""Footage and a store for all fault tests, and a table of what each fault cost."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.support import footage as footage_of
from tests.support.s3_servers import ServerProcess, rclone

Figure = Callable[[str, str, float], None]
_FIGURES: dict[tuple[str, str], list[float]] = defaultdict(list)


@pytest.fixture
def figure() -> Figure:
    """Note a figure: the fault, what was measured (with its unit), the value."""
    return lambda fault, what, value: _FIGURES[fault, what].append(value)


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of fragments of about 1.1 MB, five to a part."""
    path = tmp_path_factory.mktemp("footage") / "coded"
    footage_of.save(footage_of.make(width=320, height=180, noise=120), path)
    return path


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with rclone(tmp_path_factory.mktemp("store") / "data") as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the faults cost: over all instants that were tried."""
    if not _FIGURES:
        return
    terminalreporter.section("faults: count, p50, max")
    for (fault, what), values in sorted(_FIGURES.items()):
        line = f"{fault:<44} {what:<44} {len(values):>4} {median(values):>9.3f} {max(values):>9.3f}"
        terminalreporter.write_line(line)
