"""The policy deletes what is older than it says, first only in words; what is locked or not stored stays."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.database import RecordingRow, RecordingTable
from recorder.deletion.retention import Retention, RetentionReport
from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.ids import new_id
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import EndReason, RecordingState, RecordingType
from recorder.stores.named_stores import NamedStores
from storage.store import ObjectProperties
from storage.stores.object_lock import Hold
from tests.recorder.node import Node, open_node
from tests.recorder.test_deletion import LockingStore, keys
from tests.support.archives import place_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def store() -> LockingStore:
    return LockingStore()


@pytest.fixture
async def node(tmp_path: Path, store: LockingStore) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await open_node(tmp_path, stack, store)


def only(store: LockingStore) -> NamedStores:
    return NamedStores([place_of(store)])


async def recorded(
    node: Node, store: LockingStore, age_days: float, state: RecordingState, /, **more: Any
) -> RecordingRow:
    conversation = await node.conversation()
    identity = new_id("rec")
    ended = NOW - timedelta(days=age_days)
    over = state in (RecordingState.AVAILABLE, RecordingState.FAILED)
    row = RecordingRow(
        id=identity,
        conversation=conversation.id,
        number=1,
        type=RecordingType.AUDIO,
        state=state,
        object_key=f"{conversation.id}/{identity}.mp4",
        filename="call.mp4",
        requested_at=ended,
        ended_at=ended if over else None,
        **more,
    )
    await node.table.add(row)
    await store.put(row.object_key, b"media", ObjectProperties())
    return row


async def applied(retention: Retention, *, dry_run: bool) -> list[RetentionReport]:
    return [outcome async for outcome in retention.apply(dry_run=dry_run)]


async def test_what_is_due_goes_after_a_dry_run_has_told(
    node: Node, store: LockingStore, tmp_path: Path
) -> None:
    old = await recorded(node, store, 30.1, RecordingState.AVAILABLE)
    failed = await recorded(node, store, 300, RecordingState.FAILED)
    young = await recorded(node, store, 29.9, RecordingState.AVAILABLE)
    running = await recorded(node, store, 40, RecordingState.RECORDING)
    locked = await recorded(node, store, 50, RecordingState.AVAILABLE)
    store.holds[locked.object_key] = Hold(until=NOW + timedelta(days=1))
    spooled = await recorded(node, store, 60, RecordingState.FAILED)
    for row, name in ((spooled, "media"), (old, "end.json")):  # only a receipt is left of the second
        (tmp_path / "spool" / row.id).mkdir(parents=True)
        (tmp_path / "spool" / row.id / name).touch()
    retention = Retention(node.table, only(store), tmp_path / "spool", ManualClock(utc=NOW), 30, node="this")

    before = await keys(store)
    told = await applied(retention, dry_run=True)
    assert await keys(store) == before
    assert {outcome.row.id for outcome in told if outcome.kept is None} == {old.id, failed.id}
    kept = {outcome.row.id: outcome.kept for outcome in told if outcome.kept is not None}
    assert set(kept) == {locked.id, spooled.id}
    assert "2026-06-02T00:00:00Z" in (kept[locked.id] or "")
    assert kept[spooled.id] == "not_stored_yet"

    assert await applied(retention, dry_run=False) == told
    assert before - await keys(store) == {old.object_key, failed.object_key}
    for row in (young, running, locked, spooled):
        assert (await node.table.get(row.id)).id == row.id
    again = await applied(retention, dry_run=False)
    assert {outcome.row.id for outcome in again} == {locked.id, spooled.id}


async def test_recordings_go_with_their_conversation_alone_unless_the_policy_says_otherwise(
    node: Node, store: LockingStore, tmp_path: Path
) -> None:
    old = await recorded(node, store, 31, RecordingState.AVAILABLE)
    await node.table.save(old)  # so that it stands among the messages
    conversations, spool = node.composed.core.conversations, tmp_path / "spool"
    clock = ManualClock(utc=NOW)
    whole = Retention(node.table, only(store), spool, clock, 30, node="this", conversations=conversations)
    assert [report.kept for report in await applied(whole, dry_run=False)] == ["conversation_not_ended"]
    alone = Retention(node.table, only(store), spool, clock, 30, node="this")
    assert [report.kept for report in await applied(alone, dry_run=False)] == [None]
    assert await node.message_kinds(old.conversation) == [MessageKind.RECORDING_EXPIRED]

    over = await recorded(node, store, 31, RecordingState.AVAILABLE)
    await conversations.end(over.conversation, NOW)
    assert [report.kept for report in await applied(whole, dry_run=False)] == [None]
    with pytest.raises(BystanderError, match="not_found"):
        await conversations.get(over.conversation)


async def test_what_waits_in_the_spool_of_another_node_stays(
    node: Node, store: LockingStore, tmp_path: Path
) -> None:
    """That node ships it at its next start: without its row nobody would know of the object."""
    about = {"end_reason": EndReason.ABORT_BLOBSTORE_FAILURE, "node": "other"}
    waits = await recorded(node, store, 31, RecordingState.FAILED, started_at=NOW, **about)
    never_began = await recorded(node, store, 31, RecordingState.FAILED, **about)
    stored = await recorded(node, store, 31, RecordingState.AVAILABLE, started_at=NOW, node="other")
    for who, kept in (("this", "not_stored_yet"), ("other", None)):
        retention = Retention(node.table, only(store), tmp_path / "spool", ManualClock(utc=NOW), 30, node=who)
        told = {outcome.row.id: outcome.kept for outcome in await applied(retention, dry_run=True)}
        assert told == {waits.id: kept, never_began.id: None, stored.id: None}


class Enough(Exception):  # noqa: N818 - it is none
    """The test has seen what it wanted to see of something that goes on for ever."""


class MoodyTable(RecordingTable):
    """A database that refuses for a while."""

    refuses = False

    async def over_before(self, moment: datetime, *, after: str | None, limit: int) -> list[RecordingRow]:
        if self.refuses:
            raise BystanderError("database_failed", "It refuses.", fault=Fault.RESOURCE, status=503)
        return await super().over_before(moment, after=after, limit=limit)


async def test_the_policy_is_applied_every_hour(
    node: Node, store: LockingStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Hour by hour what comes of age goes; a database that refuses once does not end it."""
    rows = [await recorded(node, store, 30 - hours / 24, RecordingState.AVAILABLE) for hours in (0.5, 1.5, 4)]
    held = await recorded(node, store, 31, RecordingState.AVAILABLE)
    store.holds[held.object_key] = Hold(legal_hold=True)
    clock, table = ManualClock(utc=NOW), MoodyTable(node.database)
    slept: list[float] = []
    left: list[int] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        stored = await keys(store)
        left.append(sum(row.object_key in stored for row in rows))
        if len(slept) == 6:
            raise Enough
        table.refuses = len(slept) == 2
        clock.advance(seconds)

    with pytest.raises(Enough):
        await Retention(table, only(store), tmp_path / "spool", clock, 30, node="this").apply_forever(sleep)
    assert slept == [3600.0] * 6
    assert left == [3, 2, 2, 1, 1, 0]
    assert held.object_key in await keys(store)
    assert "retention could not be applied" in caplog.text
