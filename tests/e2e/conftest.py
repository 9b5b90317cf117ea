"""Real servers for whole calls; whatever a test does to one, its log must hold no traceback."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import RunningServer, running_server

SHORT_FRAGMENTS = {"BYSTANDER_RECORDING__FRAGMENT_DURATION_S": "0.5"}  # tests need not wait so long
BY_HAND = {"BYSTANDER_RECORDING__TRIGGERING_MODE": "MANUAL"}  # rooms record when somebody says so


@contextmanager
def serving(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """A server that has to end well, without a leftover worker and without a defect in its log."""
    with running_server(data_dir, settings=settings) as server:
        yield server
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all the tests that need no settings of their own and leave it as they found it."""
    with serving(tmp_path_factory.mktemp("data"), SHORT_FRAGMENTS | BY_HAND) as running:
        yield running
