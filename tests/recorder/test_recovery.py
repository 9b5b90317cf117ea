"""What comes to light after a recording was given up, or while a server runs, ends in the database too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from recorder.archive.completion import amended, complete
from recorder.database import RecordingRow
from recorder.database.webhook_schema import webhook_events
from recorder.database.webhooks import WebhookRow, WebhookTable
from recorder.kernel.ids import new_id
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason, RecordingState, RecordingType
from recorder.recording.reconciliation import take_over
from storage.spool import SpoolEnding, SpoolFacts, SpoolWriter
from storage.store import RECORDING_MARK, ObjectProperties
from storage.stores.memory import MemoryStore
from storage.upload.uploader import StoredObject
from tests.recorder.node import Node, open_node, settings_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEDIA = b"media"
STORED = StoredObject(key="a.mp4", size=9, etag="x")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def node(tmp_path: Path, store: MemoryStore) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await open_node(tmp_path, stack, store)


async def known(node: Node, state: RecordingState, **about: Any) -> RecordingRow:
    """A recording of the database, with a webhook that hears of its end."""
    conversation = await node.conversation()
    recording = new_id("rec")
    row = RecordingRow(
        id=recording,
        conversation=conversation.id,
        number=1,
        type=RecordingType.AUDIO_VIDEO,
        state=state,
        object_key=f"{conversation.id}/{recording}.mp4",
        filename="call.mp4",
        requested_at=NOW,
        **about,
    )
    hook = WebhookRow(
        id=new_id("whk"),
        account=None,
        url="https://example.org/",
        events=[],
        description=None,
        secret="s" * 32,
        created_at=NOW,
    )
    await WebhookTable(node.database).add(hook)
    await node.table.add(row)
    return row


def spool(
    node: Node, row: RecordingRow, reason: EndReason, failure: str | None, *, fragments: int = 1
) -> None:
    """What was made of pages from the bucket: a spool that has ended."""
    facts = SpoolFacts(
        recording=row.id,
        conversation=row.conversation,
        key=row.object_key,
        content_type="video/mp4",
        created_at=NOW,
    )
    writer = SpoolWriter.create(node.dependencies.archive.spool, facts)
    writer.append(Fragment(kind=FragmentKind.INIT, data=b"init"))
    for _ in range(fragments):
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=MEDIA, duration_us=2_000_000))
    writer.end(reason, failure, 2_000_000 * fragments)
    writer.close()


async def finished(node: Node, recording: str) -> StoredObject | None:
    own = node.dependencies
    return await complete(recording, own.archive, own.table, own.clock)


async def written_down(node: Node, recording: str, state: RecordingState) -> None:
    async with asyncio.timeout(20):
        while (await node.table.get(recording)).state is not state:  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.02)


async def announced(node: Node) -> list[str]:
    async with node.database.reading() as connection:
        return list((await connection.execute(select(webhook_events.c.type))).scalars())


async def announced_data(node: Node) -> list[dict[str, Any]]:
    async with node.database.reading() as connection:
        return list((await connection.execute(select(webhook_events.c.data))).scalars())


async def test_one_that_was_running_elsewhere_ends_like_any_other(node: Node) -> None:
    row = await known(node, RecordingState.RECORDING, started_at=NOW)
    spool(node, row, EndReason.ABORT_UNEXPECTED, "node_lost")
    await take_over(node.registry, node.dependencies, [row.id])
    await node.until(row.id, "AVAILABLE")
    after = await node.table.get(row.id)
    assert (after.end_reason, after.failure) == (EndReason.ABORT_UNEXPECTED, "node_lost")
    assert (after.duration_s, after.bytes) == (2.0, len(b"init" + MEDIA))
    assert after.ended_at is not None
    assert await node.media(row.id) == b"init" + MEDIA
    assert await announced(node) == ["recording.available"]


async def test_one_that_was_given_up_becomes_available_once(node: Node) -> None:
    """Its store did not answer for a day; then it did."""
    given_up = {"end_reason": EndReason.ABORT_BLOBSTORE_FAILURE, "failure": "store_unreachable"}
    row = await known(node, RecordingState.FAILED, started_at=NOW, ended_at=NOW, bytes=9, **given_up)
    spool(node, row, EndReason.NORMAL, None)
    assert await finished(node, row.id) is not None
    after = await node.table.get(row.id)
    assert (after.state, after.end_reason, after.failure) == ("AVAILABLE", "NORMAL", None)
    assert (after.duration_s, after.bytes, after.ended_at) == (2.0, 9, NOW)
    assert not (node.dependencies.archive.spool / row.id).exists()
    assert await announced(node) == ["recording.available"]
    await finished(node, row.id)
    assert await node.table.get(row.id) == after
    assert await announced(node) == ["recording.available"]


async def test_one_that_was_given_up_and_is_stored_later_by_the_same_server_becomes_available(
    tmp_path: Path, store: MemoryStore
) -> None:
    async with AsyncExitStack() as stack:
        settings = settings_for(tmp_path, upload_timeout_s=0.2)
        node = await open_node(tmp_path, stack, store, settings)
        row = await known(node, RecordingState.RECORDING, started_at=NOW)
        spool(node, row, EndReason.NORMAL, None)
        store.faults.outage = "store_unreachable"
        await take_over(node.registry, node.dependencies, [row.id])
        await written_down(node, row.id, RecordingState.FAILED)
        store.faults.outage = None
        await written_down(node, row.id, RecordingState.AVAILABLE)
        after = await node.table.get(row.id)
        assert (after.end_reason, after.failure, after.bytes) == (
            EndReason.NORMAL,
            None,
            len(b"init" + MEDIA),
        )
        assert await announced(node) == ["recording.failed", "recording.available"]


async def test_damaged_facts_are_written_down_again_from_the_database(node: Node) -> None:
    row = await known(node, RecordingState.RECORDING, started_at=NOW)
    spool(node, row, EndReason.NORMAL, None)
    for name in ("facts.json", "facts.copy"):
        (node.dependencies.archive.spool / row.id / name).write_bytes(b"")
    await take_over(node.registry, node.dependencies, [row.id])
    await node.until(row.id, "AVAILABLE")
    assert await node.media(row.id) == b"init" + MEDIA


async def test_a_recording_that_lost_media_is_available_and_says_so(node: Node) -> None:
    row = await known(node, RecordingState.RECORDING, started_at=NOW)
    spool(node, row, EndReason.NORMAL, None, fragments=3)
    media = node.dependencies.archive.spool / row.id / "media"
    with media.open("r+b") as file:
        file.truncate(len(b"init" + MEDIA))
    await take_over(node.registry, node.dependencies, [row.id])
    await node.until(row.id, "AVAILABLE")
    after = await node.table.get(row.id)
    assert (after.end_reason, after.failure) == (EndReason.NORMAL, "media_missing")
    assert after.missing_s == (await node.recordings.get(row.id)).missing_s == 4.0
    assert [data["recording"]["missing_s"] for data in await announced_data(node)] == [4.0]
    assert await node.media(row.id) == b"init" + MEDIA
    assert (node.dependencies.archive.spool / row.id / "aside" / "media").exists()


async def test_one_that_nobody_knows_is_stored_all_the_same(node: Node, store: MemoryStore) -> None:
    row = await known(node, RecordingState.RECORDING)
    spool(node, row, EndReason.NORMAL, None)
    await node.table.delete(row.id)
    stored = await finished(node, row.id)
    assert stored is not None
    assert (await store.head(row.object_key)).size == stored.size
    assert not (node.dependencies.archive.spool / row.id).exists()


async def test_one_that_was_whole_before_its_spool_was_lost_is_available(
    node: Node, store: MemoryStore
) -> None:
    row = await known(node, RecordingState.FINALIZING, end_reason=EndReason.NORMAL, ended_at=NOW)
    await store.put(row.object_key, MEDIA, ObjectProperties("video/mp4", ((RECORDING_MARK, row.id),)))
    await take_over(node.registry, node.dependencies, [row.id])
    await node.until(row.id, "AVAILABLE")
    after = await node.table.get(row.id)
    assert (after.end_reason, after.failure, after.bytes) == (EndReason.NORMAL, None, len(MEDIA))


@pytest.mark.parametrize("state", [RecordingState.AVAILABLE, RecordingState.FAILED])
def test_what_was_whole_stands(state: RecordingState) -> None:
    row = RecordingRow(
        id="rec_1",
        conversation="conv_1",
        number=1,
        type=RecordingType.AUDIO,
        state=state,
        end_reason=EndReason.ABORT_SYSTEM,
        object_key="a.mp4",
        filename="a.mp4",
        requested_at=NOW,
        ended_at=NOW,
        bytes=STORED.size,
    )
    ending = SpoolEnding(
        reason=EndReason.ABORT_UNEXPECTED, failure="node_lost", duration_us=1, bytes=9, fragments=2
    )
    assert amended(row, ending, STORED, NOW) == row
