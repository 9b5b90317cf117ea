"""`bystander audit verify` and `export`: the chain read from its beginning, also beside a server."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from recorder.audit.chain import Fault, Line, Verification, lines_of
from recorder.audit.heads import FILE, noted_heads
from recorder.database import Database
from recorder.database.audit import AuditRow, AuditTable
from recorder.database.connection import sqlite_url
from recorder.kernel.audit.act import AuditHead, AuditSearch
from recorder.kernel.errors import caller_error
from recorder.settings.definitions import Settings
from storage.open_store import open_store

ROWS_AT_ONCE = 2_000  # some 2 MB


class Report:
    """What was read, what is wrong with it, and the head of it."""

    def __init__(self, verification: Verification, noted: int) -> None:
        self.faults: list[Fault] = verification.finish()
        self.count = verification.count
        self.head = verification.head
        self.noted = noted  # heads that it was held to


async def verify_configured(settings: Settings, heads: Iterable[AuditHead]) -> Report:
    """Verify the database's chain against `heads` and all that were noted; the store has to answer."""
    root = await asyncio.to_thread(Path(settings.server.data_dir).absolute)
    store = open_store(settings.storage, data_dir=root, proxy=settings.proxy.as_proxy())
    try:
        noted = [*heads, *await noted_heads(root / FILE, store)]
    finally:
        await store.close()
    verification = Verification(noted)
    async with _opened(settings) as table:
        async for row in rows(table, AuditSearch()):
            verification.read(Line(row.line, row.sequence))
            _compare_columns(row, verification)
    return Report(verification, len(noted))


def verify_lines(text: Iterable[str], heads: list[AuditHead]) -> Report:
    """Verify an export against `heads`."""
    verification = Verification(heads)
    for line in lines_of(text):
        verification.read(line)
    return Report(verification, len(heads))


async def export_configured(settings: Settings, search: AuditSearch) -> AsyncIterator[str]:
    """The lines that are looked for."""
    async with _opened(settings) as table:
        async for row in rows(table, search):
            yield row.line


async def rows(table: AuditTable, search: AuditSearch) -> AsyncIterator[AuditRow]:
    """Those that are looked for, a page at a time, so that nobody waits for a long reading."""
    found = await table.read(search, limit=ROWS_AT_ONCE)
    while found:
        for row in found:
            yield row
        search = after(search, found[-1].sequence)
        found = await table.read(search, limit=ROWS_AT_ONCE)


def after(search: AuditSearch, sequence: int) -> AuditSearch:
    """The same search, from this entry on. Pure."""
    return AuditSearch(
        after=sequence, since=search.since, before=search.before, conversation=search.conversation
    )


def _compare_columns(row: AuditRow, verification: Verification) -> None:
    """What an entry is found by has to be what it says."""
    entry = verification.newest
    if entry is not None and (entry.occurred_at, entry.conversation) != (row.occurred_at, row.conversation):
        verification.fault(
            "changed", row.sequence, "it is found by a time or conversation that is not its own"
        )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[AuditTable]:
    root = await asyncio.to_thread(Path(settings.server.data_dir).absolute)
    file = root / "bystander.db"
    if settings.server.database_url is None and not file.exists():
        raise caller_error("no_database", f"{file} does not exist: nothing was written down yet.")
    database = Database(settings.server.database_url or sqlite_url(file))
    try:
        yield AuditTable(database)
    finally:
        await database.close()
