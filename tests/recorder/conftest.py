"""A database for each test, on each of the two kinds."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from recorder.database import Database
from recorder.database.opening import sqlite_url
from tests.support.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "b.db")
    running: Cluster = request.getfixturevalue("postgres")
    return running.new_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()
