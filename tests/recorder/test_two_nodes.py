"""Two servers with a data directory each on one database: each minds its own until one of them is lost."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import InteractionKind
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from recorder.recording.reconciliation import take_over
from recorder.recover import RecoveryReport, recover_all
from recorder.settings.definitions import ServerSettings, Settings
from signaling.ports import Caller
from storage.spool import SpoolFacts, SpoolWriter
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node, settings_for


class Nodes:
    """Opens nodes by name; one that is opened again finds its data directory."""

    def __init__(self, root: Path, database_url: str, stack: AsyncExitStack) -> None:
        self._root = root
        self._database_url = database_url
        self._stack = stack
        self._store = MemoryStore()

    async def open(self, name: str) -> Node:
        data_dir = self._root / name
        data_dir.mkdir(exist_ok=True)
        settings = settings_for(data_dir, database_url=self._database_url)
        return await open_node(data_dir, self._stack, self._store, settings)


@pytest.fixture
async def nodes(tmp_path: Path, migrated_url: str) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:
        yield Nodes(tmp_path, migrated_url, stack)


def spool(node: Node, recording: str, conversation: str, key: str) -> None:
    """What is made of a lost node's pages in the bucket."""
    facts = SpoolFacts(
        recording=recording,
        conversation=conversation,
        key=key,
        content_type="video/mp4",
        created_at=SystemClock().utc_now(),
    )
    writer = SpoolWriter.create(node.dependencies.archive.spool, facts)
    writer.append(Fragment(kind=FragmentKind.INIT, data=b"init"))
    writer.append(Fragment(kind=FragmentKind.MEDIA, data=b"media", duration_us=1_000_000))
    writer.end(EndReason.ABORT_UNEXPECTED, "node_lost", 1_000_000)
    writer.close()


def of(node: Node) -> Sequence[str]:
    return [live.row.id for live in node.registry]


async def test_a_second_server_leaves_the_recordings_of_the_first_alone(nodes: Nodes) -> None:
    first = await nodes.open("first")
    recording = await first.start()
    await first.publish(recording)
    await first.until(recording.id, "RECORDING")
    second = await nodes.open("second")
    assert of(second) == []
    assert (await second.recordings.get(recording.id)).state == "RECORDING"
    await first.recordings.stop(recording.id, stopped_by=Caller())
    over = await first.until(recording.id, "AVAILABLE", "FAILED")
    assert (over.state, over.end_reason, over.failure) == ("AVAILABLE", "NORMAL", None)


async def test_a_second_server_leaves_the_calls_of_the_first_alone(nodes: Nodes) -> None:
    """It would wait for their rooms to come back, and end them."""
    first = await nodes.open("first")
    call = await first.conversation()
    await first.supervisors.begin(call, kind=InteractionKind.CALL, layer=None, owner="room")
    second = await nodes.open("second")
    assert await second.supervisors.restore() == 0
    await first.killed()
    again = await nodes.open("first")
    assert await again.supervisions.kept() == [call.id]


async def test_each_server_takes_up_its_own_after_a_kill(nodes: Nodes) -> None:
    killed = [await nodes.open(name) for name in ("first", "second")]
    recordings = [await node.start() for node in killed]
    for node in killed:
        await node.killed()
    for name, recording in zip(("first", "second"), recordings, strict=True):
        again = await nodes.open(name)
        assert of(again) == [recording.id]
        await again.recordings.stop(recording.id, stopped_by=Caller())


async def test_what_a_lost_node_left_is_of_who_took_it_over_even_if_that_is_killed_then(
    nodes: Nodes,
) -> None:
    lost, second = await nodes.open("lost"), await nodes.open("second")
    recording = await lost.start()
    await lost.publish(recording)
    await lost.until(recording.id, "RECORDING")
    await lost.killed()
    row = await lost.table.get(recording.id)
    assert row.node == lost.dependencies.node != second.dependencies.node
    spool(second, row.id, row.conversation, row.object_key)
    await take_over(second.registry, second.dependencies, [row.id])
    await second.killed()  # before its life there could begin
    assert (await second.table.get(row.id)).node == second.dependencies.node
    again = await nodes.open("second")
    after = await again.until(row.id, "AVAILABLE", "FAILED")
    assert (after.state, after.failure, after.bytes) == ("AVAILABLE", "node_lost", len(b"initmedia"))


async def test_what_has_no_node_is_of_the_first_server_that_looks(nodes: Nodes) -> None:
    """As an earlier release left it."""
    before = await nodes.open("first")
    recording = await before.start()
    await before.killed()
    async with before.database.writing() as connection:
        await connection.execute(text("UPDATE recordings SET node = NULL"))
    first = await nodes.open("first")
    second = await nodes.open("second")
    assert (of(first), of(second)) == ([recording.id], [])


async def test_recovering_by_hand_leaves_the_recordings_of_another_server_alone(
    nodes: Nodes, tmp_path: Path, migrated_url: str
) -> None:
    first = await nodes.open("first")
    recording = await first.start()
    told: list[RecoveryReport] = []
    server = ServerSettings(data_dir=str(tmp_path / "second"), database_url=migrated_url)
    assert await recover_all(Settings(server=server), told.append)
    assert told == []
    assert (await first.table.get(recording.id)).state == "READY"


async def test_nothing_is_deleted_that_another_server_records(nodes: Nodes) -> None:
    first, second = await nodes.open("first"), await nodes.open("second")
    recording = await first.start()
    with pytest.raises(BystanderError, match="recording_running"):
        await second.conversations.delete(recording.conversation)
    assert of(first) == [recording.id]
    assert (await first.table.get(recording.id)).state == "READY"
