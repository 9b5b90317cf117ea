"""The audit log under a flood: no caller decides how many entries there are, or how long one is."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from recorder.audit.chain import Entry
from recorder.audit.log import AuditLog
from recorder.audit.repeats import ACTOR_MAX
from recorder.audit.verification import rows
from recorder.database import Database
from recorder.database.audit import AuditTable
from recorder.kernel.audit.act import NOT_AN_ID, ActorKind, AuditHead, AuditSearch
from recorder.kernel.clock import SystemClock
from recorder.kernel.ids import new_id
from recorder.services.access.audit import AuditService
from recorder.settings.definitions import AuditSettings
from tests.support.fake_ports import FakeServer
from tests.support.http import Served, serve

PATHS = 500
HANDFUL = 6  # the first, and one for the others, of each code
LINE_CHARS_MAX = 1_000
ENDED_S_MAX = 20.0


class Flooded:
    """A served app that notes in a real log."""

    def __init__(self, served: Served, database: Database, log: AuditLog) -> None:
        self.served = served
        self.database = database
        self.log = log

    async def get(self, path: str, headers: dict[str, str] | None = None) -> int:
        """The status of the answer."""
        return (await self.served.client.get(path, headers=headers)).status

    async def entries(self) -> list[Entry]:
        """All of them, once the log has ended."""
        self.log.end()
        await asyncio.wait_for(self.log.run(), ENDED_S_MAX)
        lines = [row.line async for row in rows(AuditTable(self.database), AuditSearch())]
        assert max(map(len, lines)) < LINE_CHARS_MAX
        return [msgspec.json.decode(line, type=Entry) for line in lines]


@asynccontextmanager
async def flooded(database: Database) -> AsyncIterator[Flooded]:
    table, fake = AuditTable(database), FakeServer()
    log = AuditLog(table, SystemClock(), head_changed=_nobody_listens)
    audit = AuditService(log, table, AuditSettings())
    fake.ports = replace(fake.ports, audit=audit)
    async with serve(fake) as served:
        yield Flooded(served, database, log)


async def _nobody_listens(_: AuditHead) -> None:
    return None


async def test_a_stranger_with_many_paths_is_an_entry_for_each_code(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with flooded(database) as flood:
        long = [f"/v1/conversations/{number}{'a' * 7_000}" for number in range(PATHS // 2)]
        formed = [f"/v1/recordings/{new_id('rec')}/media" for _ in range(PATHS - len(long))]
        mixed = [path for pair in zip(long, formed, strict=True) for path in pair]
        statuses = {await flood.get(path) for path in mixed}
        entries = await flood.entries()
    assert {401, 404, 429} <= statuses
    assert len(entries) <= HANDFUL
    assert sum(1 + entry.repeats for entry in entries) == PATHS
    assert {entry.actor.kind for entry in entries} == {ActorKind.NOBODY}
    assert {(entry.conversation, entry.recording, entry.target) for entry in entries} == {(None, None, None)}
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("signaling")]
    assert len(ours) >= PATHS
    assert max(map(len, ours)) < LINE_CHARS_MAX


async def test_strangers_at_entry_points_are_nobody(database: Database) -> None:
    async with flooded(database) as flood:
        for number in range(PATHS):
            await flood.served.client.patch(f"/whip/{number}/{number}")
        entries = await flood.entries()
    assert len(entries) <= HANDFUL
    assert {entry.actor.kind for entry in entries} == {ActorKind.NOBODY}


async def test_a_key_with_many_paths_has_entries_up_to_its_bound(database: Database) -> None:
    async with flooded(database) as flood:
        for _ in range(PATHS):
            await flood.get(f"/v1/conversations/{new_id('conv')}", flood.served.key)
            flood.served.fake.clock.advance(0.01)  # beyond what may come at once, and within a window
        entries = await flood.entries()
    assert sum(1 + entry.repeats for entry in entries) == PATHS
    assert len(entries) <= ACTOR_MAX + HANDFUL
    assert len({entry.conversation for entry in entries} - {None}) == ACTOR_MAX


async def test_what_is_no_id_is_replaced(database: Database) -> None:
    async with flooded(database) as flood:
        assert await flood.get(f"/v1/conversations/{'a' * 7_000}", flood.served.key) == 404
        assert await flood.get("/v1/conversations/none", flood.served.key) == 404
        entries = await flood.entries()
    assert {entry.conversation for entry in entries if entry.actor.kind is ActorKind.KEY} <= {NOT_AN_ID}


async def test_a_path_writes_no_line_of_its_own_into_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with flooded(database) as flood:
        await flood.get("/v1/conversations/a%0Aforged")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "signaling.access"]
    assert "forged" not in line
    assert "/v1/conversations/{conversation}" in line
