"""A PostgreSQL cluster of our own: made in a temporary directory, on a free port, gone afterwards.

Debian's package brings the programs; the cluster that it makes for itself is neither used nor needed.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from recorder.kernel.ids import new_id
from tests.support.ports import free_port

START_S_MAX = 60.0  # of a command; a loaded machine makes a cluster in some seconds
_DEBIAN = Path("/usr/lib/postgresql")
_UNPRIVILEGED = "nobody"  # initdb refuses to work for root
_NOT_FOR_KEEPS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")  # a test's data dies anyway
_INIT = ("-U", "bystander", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
_SMALL = ("shared_buffers=16MB", "max_connections=60", "autovacuum=off", "jit=off")


@dataclass(frozen=True)
class Cluster:
    """A running server."""

    port: int

    def url(self, database: str) -> str:
        return f"postgresql://bystander@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database. Each costs 7 MB of disk, so tests share one where they can."""
        name = new_id("db")
        asyncio.run(self._create(name))
        return self.url(name)

    def empty(self, url: str) -> str:
        """Take every row out of a migrated database; its URL."""
        asyncio.run(self._empty(url))
        return url

    async def _empty(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        tables = await connection.fetch(
            "SELECT quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        await connection.execute(f"TRUNCATE {', '.join(table['name'] for table in tables)} RESTART IDENTITY")
        await connection.close()

    def break_connections(self) -> None:
        """As a restart of the server does to everybody who is connected."""
        asyncio.run(self._break())

    async def _break(self) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bystander'"
        await connection.execute(others + " AND pid <> pg_backend_pid()")
        await connection.close()

    async def _create(self, name: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a server for the length of the block; it takes a second or two to start."""
    directory = Path(tempfile.mkdtemp(prefix="bystander-pg-"))
    data, log, port = directory / "data", directory / "log", free_port()
    listening = (f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={directory}")
    options = " ".join(f"-c {setting}" for setting in (*listening, *_NOT_FOR_KEEPS, *_SMALL))
    started = False
    try:
        user = _give_away(directory)
        _run("initdb", "-D", data, *_INIT, user=user)
        _run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options, user=user)
        started = True
        yield Cluster(port)
    finally:
        if started:
            _run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", data, user=user)
        shutil.rmtree(directory)


def _give_away(directory: Path) -> str | None:
    """Who runs the server: root may not, so the directory becomes somebody else's; None: who we are."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam(_UNPRIVILEGED)
    os.chown(directory, account.pw_uid, account.pw_gid)
    return _UNPRIVILEGED


def _run(program: str, *arguments: str | Path, user: str | None) -> None:
    done = subprocess.run(
        [_programs() / program, *arguments],
        user=user,
        cwd="/",  # ours may be closed to that user
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,  # the server would keep a pipe
        stderr=subprocess.STDOUT,
        timeout=START_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{program}: {(done.stdout or b'').decode()}"


def _programs() -> Path:
    """Where the newest installed version's programs are."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    assert found, "PostgreSQL is not installed; `make setup-system` does that"
    return found[-1].parent
