"""A database for each test, on each of the two kinds."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from recorder.database import Database
from recorder.database.connection import sqlite_url
from tests.support.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database as a server opens it."""
    file = tmp_path_factory.mktemp("migrated") / "b.db"
    asyncio.run(_migrate(sqlite_url(file)))
    return file


@pytest.fixture(scope="session")
def migrated_on_postgres(postgres: Cluster) -> str:
    """The same on PostgreSQL, by its URL."""
    url = postgres.new_database()
    asyncio.run(_migrate(url))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "b.db")
    running: Cluster = request.getfixturevalue("postgres")
    return running.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database in which the migrations have been run."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_file"), tmp_path / "b.db")
        return sqlite_url(tmp_path / "b.db")
    running: Cluster = request.getfixturevalue("postgres")
    return running.empty(request.getfixturevalue("migrated_on_postgres"))


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    opened = Database(migrated_url)
    yield opened
    await opened.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    await database.open()
    await database.close()
