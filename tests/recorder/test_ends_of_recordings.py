"""Ends of recordings: cut short, refused by the database, let go beside others; and what the log says."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import EndReason, Recording, RecordingRow, RecordingState
from recorder.recording import actor
from recorder.recording.actor import RecordingActor
from signaling.ports import Caller
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node
from tests.support.fake_workers import FRAGMENT_US


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await open_node(tmp_path, stack, MemoryStore())


async def recorded(node: Node) -> Recording:
    started = await node.start()
    await node.publish(started)
    return await node.until(started.id, "RECORDING")


def refused() -> BystanderError:
    return BystanderError("database_failed", "Not now.", fault=Fault.RESOURCE, status=503)


class TestCutShort:
    async def test_it_is_available_and_says_so_in_history_and_log(
        self, node: Node, caplog: pytest.LogCaptureFixture
    ) -> None:
        recording = await recorded(node)
        with caplog.at_level(logging.WARNING, "recorder.recording.actor"):
            for worker in node.workers:
                worker.kill()
            over = await node.until(recording.id, "AVAILABLE", "FAILED")
        assert (over.state, over.end_reason, over.failure) == ("AVAILABLE", "ABORT_UNEXPECTED", "worker_died")
        assert await node.media(over.id)
        kinds = await node.message_kinds(recording.conversation)
        assert MessageKind.RECORDING_AVAILABLE in kinds
        lines = [line for line in caplog.records if "failure" in vars(line)]
        assert {(vars(line)["recording"], vars(line)["failure"]) for line in lines} == {
            (recording.id, "worker_died")
        }
        assert {line.levelname for line in lines} == {"WARNING"}


class TestTheLastState:
    async def test_is_told_and_the_receipt_goes_once_the_database_has_it(
        self, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(actor, "WRITE_DELAY_S_MAX", 0.01)
        save, refusals = node.table.save, 0
        recording = await recorded(node)

        async def refuse_the_last(row: RecordingRow) -> None:
            nonlocal refusals
            if row.state is RecordingState.AVAILABLE and refusals < 3:
                refusals += 1
                assert (tmp_path / "spool" / recording.id).exists()
                assert (await node.recordings.get(recording.id)).state is RecordingState.FINALIZING
                raise refused()
            await save(row)

        monkeypatch.setattr(node.table, "save", refuse_the_last)
        await node.recordings.stop(recording.id, stopped_by=Caller())
        await node.until(recording.id, "AVAILABLE")
        assert refusals == 3
        assert (await node.table.get(recording.id)).state is RecordingState.AVAILABLE


class TestTimes:
    async def test_start_with_the_first_media_and_end_no_sooner_than_that_lasts(self, node: Node) -> None:
        recording = await recorded(node)
        await node.recordings.stop(recording.id, stopped_by=Caller())
        over = await node.until(recording.id, "AVAILABLE")
        assert over.started_at is not None and over.ended_at is not None and over.duration_s is not None
        heard_s = (over.ended_at - over.started_at).total_seconds()
        assert heard_s >= FRAGMENT_US / 1e6  # captured before the server heard of it
        assert over.started_at + timedelta(seconds=over.duration_s) <= over.ended_at


async def test_who_reads_that_it_is_available_reads_what_it_is(node: Node) -> None:
    recording = await recorded(node)
    await node.recordings.stop(recording.id, stopped_by=Caller())
    over = await node.until(recording.id, "AVAILABLE")
    (said,) = await node.messages(recording.conversation, MessageKind.RECORDING_AVAILABLE)
    assert (said.filename, said.duration_s, said.bytes) == (over.filename, over.duration_s, over.bytes)
    assert said.bytes
    (begun,) = await node.messages(recording.conversation, MessageKind.RECORDING_STARTED)
    assert (begun.filename, begun.bytes) == (None, None)


class TestLetGo:
    async def test_one_that_ends_meanwhile_is_no_defect(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both tasks are over before the first actor has been let go."""
        await node.start()
        await node.start()
        leave = RecordingActor.leave

        async def leave_slowly(self: RecordingActor) -> None:
            while node.registry.count:  # noqa: ASYNC110 - that one is over is told to nobody
                await asyncio.sleep(0)
            await leave(self)

        monkeypatch.setattr(RecordingActor, "leave", leave_slowly)
        async with asyncio.timeout(10):
            assert await node.registry.drain(0.0) == 2


async def test_a_shutdown_is_no_failure(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    await recorded(node)
    with caplog.at_level(logging.WARNING, "recorder.recording.actor"):
        assert await node.registry.drain(20.0) == 0
    assert [line for line in caplog.records if vars(line).get("end_reason") is EndReason.ABORT_SYSTEM] == []
