"""The policy deletes what is older than it says, first only in words; what is locked or not stored stays."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.clock import ManualClock
from recorder.database import RecordingRow
from recorder.ids import new_id
from recorder.retention import Outcome, Retention
from recorder.values import RecordingState, RecordingType
from storage.holding import Hold
from storage.objects import ObjectProperties
from tests.recorder.node import Node, open_node
from tests.recorder.test_deletion import LockingStore, keys

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def store() -> LockingStore:
    return LockingStore()


@pytest.fixture
async def node(tmp_path: Path, store: LockingStore) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await open_node(tmp_path, stack, store)


async def recorded(node: Node, store: LockingStore, age_days: float, state: RecordingState) -> RecordingRow:
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
    )
    await node.table.add(row)
    await store.put(row.object_key, b"media", ObjectProperties())
    return row


async def applied(retention: Retention, *, dry_run: bool) -> list[Outcome]:
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
    (tmp_path / "spool" / spooled.id).mkdir(parents=True)
    retention = Retention(node.table, store, tmp_path / "spool", ManualClock(utc=NOW), 30)

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
