"""The audit log on both databases: acts in, a chain that holds, nothing lost, and nobody kept waiting."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from recorder.audit.chain import Line, Verification
from recorder.audit.expiry import AuditExpiry
from recorder.audit.heads import FILE, PREFIX, noted_heads
from recorder.audit.log import LOST, WAITING_MAX, AuditLog
from recorder.audit.opening import open_audit
from recorder.audit.verification import rows
from recorder.database import Database
from recorder.database.audit import AuditRow, AuditTable, Continue
from recorder.kernel.audit.act import Act, Actor, ActorKind, AuditHead, AuditSearch
from recorder.kernel.clock import ManualClock, SystemClock
from recorder.kernel.errors import BystanderError, Fault
from storage.stores.memory import MemoryStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WRITTEN_S_MAX = 20.0


def act(number: int = 0, *, when: datetime = NOW, kind: ActorKind = ActorKind.KEY) -> Act:
    return Act(
        occurred_at=when, action="stopRecording", actor=Actor(kind=kind, id="key_a"), target=str(number)
    )


async def nobody_listens(_: AuditHead) -> None:
    return None


async def all_rows(database: Database) -> list[AuditRow]:
    return [row async for row in rows(AuditTable(database), AuditSearch())]


async def faults(database: Database, *heads: AuditHead) -> list[tuple[str, int]]:
    verification = Verification(heads)
    for row in await all_rows(database):
        verification.read(Line(row.line, row.sequence))
    return [(fault.kind, fault.sequence) for fault in verification.finish()]


async def written(log: AuditLog, *acts: Act) -> None:
    """Note them, and end the log."""
    running = asyncio.ensure_future(log.run())
    for one in acts:
        log.note(one)
    log.end()
    await asyncio.wait_for(running, WRITTEN_S_MAX)


async def test_what_was_noted_until_the_end_is_kept_in_its_order(database: Database) -> None:
    log = AuditLog(AuditTable(database), SystemClock(), head_changed=nobody_listens)
    await written(log, *(act(number) for number in range(1_201)))
    found = await all_rows(database)
    assert [row.sequence for row in found] == list(range(1, 1_202))
    assert all(f'"target":"{row.sequence - 1}"' in row.line for row in found)
    assert await faults(database) == []
    assert (log.written, log.lost, log.waiting) == (1_201, 0, 0)


async def test_servers_that_write_at_once_make_one_chain(migrated_url: str) -> None:
    databases = [Database(migrated_url) for _ in range(3)]
    logs = [AuditLog(AuditTable(one), SystemClock(), head_changed=nobody_listens) for one in databases]
    await asyncio.gather(*(written(log, *(act(number) for number in range(40))) for log in logs))
    assert len(await all_rows(databases[0])) == 120
    assert await faults(databases[0]) == []
    for one in databases:
        await one.close()


async def test_the_database_refuses_to_change_an_entry(database: Database) -> None:
    await written(AuditLog(AuditTable(database), SystemClock(), head_changed=nobody_listens), act())
    with pytest.raises(BystanderError):
        async with database.writing() as connection:
            await connection.execute(text("UPDATE audit_entries SET line = 'x'"))


async def test_old_entries_expire_and_what_stays_can_be_verified(database: Database) -> None:
    table, clock = AuditTable(database), ManualClock(utc=NOW)
    old, young = NOW - timedelta(days=31), NOW - timedelta(days=29)
    acts = [act(0, when=old), act(1, when=old), act(2, when=young), act(3, when=old), act(4)]
    await written(AuditLog(table, clock, head_changed=nobody_listens), *acts)
    expiry = AuditExpiry(table, clock, days=30)
    assert await expiry.apply() == 2
    assert await expiry.apply() is None
    found = await all_rows(database)
    assert [row.sequence for row in found] == [3, 4, 5, 6]
    assert await faults(database) == []
    clock.advance(40 * 86_400)
    assert await expiry.apply() == 5  # the newest stays, or nothing would say up to where they went
    assert await faults(database) == []


class Refusing(AuditTable):
    """A database that is away while `refuses`."""

    refuses = True

    async def append(self, following: Continue) -> list[AuditRow]:
        if self.refuses:
            raise BystanderError("database_failed", "Away.", fault=Fault.RESOURCE, status=503)
        return await super().append(following)

    def come_back(self) -> None:
        self.refuses = False


async def failing(log: AuditLog) -> None:
    async with asyncio.timeout(WRITTEN_S_MAX):
        while not log.is_failing:  # noqa: ASYNC110 - an attribute, which nobody tells of
            await asyncio.sleep(0.01)


async def test_what_cannot_be_written_waits_and_is_said(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    table = Refusing(database)
    log = AuditLog(table, SystemClock(), head_changed=nobody_listens)
    running = asyncio.ensure_future(log.run())
    log.check()
    log.note(act())
    await failing(log)
    with pytest.raises(BystanderError, match="audit_unavailable"):
        log.check()
    assert "the audit log cannot be written" in caplog.text
    table.come_back()
    log.end()
    await asyncio.wait_for(running, WRITTEN_S_MAX)
    assert len(await all_rows(database)) == 1


async def test_what_is_too_much_is_lost_and_the_log_itself_says_how_much(database: Database) -> None:
    table = Refusing(database)
    log = AuditLog(table, SystemClock(), head_changed=nobody_listens)
    for number in range(WAITING_MAX):
        log.note(act(number, kind=ActorKind.NOBODY))
    assert log.lost == WAITING_MAX // 2  # strangers leave room for everybody else
    for number in range(WAITING_MAX // 2 + 3):
        log.note(act(number))
    assert (log.lost, log.waiting) == (WAITING_MAX // 2 + 3, WAITING_MAX)
    with pytest.raises(BystanderError, match="audit_unavailable"):
        log.check()
    table.come_back()
    await written(log)
    last = (await all_rows(database))[-1].line
    assert LOST in last
    assert f'"entries":"{WAITING_MAX // 2 + 3}"' in last
    assert await faults(database) == []


async def test_the_head_is_noted_in_the_directory_and_in_the_store(
    database: Database, tmp_path: Path
) -> None:
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        opened = await open_audit(
            database,
            store,
            SystemClock(),
            stack,
            CollectorRegistry(),
            root=tmp_path,
            node="n1",
            retention_days=None,
        )
        for number in range(5):
            opened.log.note(act(number))
    assert (tmp_path / FILE).exists()
    assert len([info async for info in store.list_objects(PREFIX)]) == 1
    heads = await noted_heads(tmp_path / FILE, store)
    assert {head.sequence for head in heads} == {7}  # with the server's start and stop
    assert await faults(database, *heads) == []
    async with database.writing() as connection:
        await connection.execute(text("DELETE FROM audit_entries WHERE sequence > 5"))
    assert await faults(database) == []
    assert await faults(database, *heads) == [("removed", 6)]
