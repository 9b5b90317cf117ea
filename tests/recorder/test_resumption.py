"""A worker that dies with its server: its recording goes on in the next one, if its people may be there."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from recorder.kernel.recording import EndReason, Recording, RecordingState
from recorder.recording.events import Phase
from recorder.settings.definitions import Settings
from signaling.ports import Caller
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node, settings_for


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


class Crash:
    """A recording with media, whose worker and server die together."""

    def __init__(self, tmp_path: Path, stack: AsyncExitStack) -> None:
        self._tmp_path = tmp_path
        self._stack = stack
        self._store = MemoryStore()
        self.recording: Recording

    async def begin(self, settings: Settings) -> None:
        node = await self.next_server(settings)
        self.recording = await node.start()
        await node.publish(self.recording)
        await node.until(self.recording.id, "RECORDING")
        (worker,) = node.workers
        await node.killed()
        os.kill(worker.pid, signal.SIGKILL)

    async def next_server(self, settings: Settings) -> Node:
        return await open_node(self._tmp_path, self._stack, self._store, settings)


async def test_the_next_server_goes_on_with_it(tmp_path: Path, stack: AsyncExitStack) -> None:
    settings = settings_for(tmp_path, after_interruption="continue")
    crash = Crash(tmp_path, stack)
    await crash.begin(settings)
    node = await crash.next_server(settings)
    begun = crash.recording
    await node.registry.live(begun.id).until(lambda phase: phase is Phase.RESUMING)
    assert (await node.recordings.get(begun.id)).state is RecordingState.INTERRUPTED
    assert (await node.recordings.get(begun.id)).entry_point == begun.entry_point
    await node.publish(begun)
    await node.until(begun.id, "RECORDING")
    await node.recordings.stop(begun.id, stopped_by=Caller())
    over = await node.until(begun.id, "AVAILABLE", "FAILED")
    assert (over.state, over.end_reason, over.failure) == (RecordingState.AVAILABLE, EndReason.NORMAL, None)
    assert over.bytes == 3000  # an init segment and a fragment of each
    assert len(await node.recordings.list(begun.conversation)) == 1
    assert [attempt.number for attempt in await node.table.attempts(begun.id)] == [1, 2]


async def test_nobody_comes_back(tmp_path: Path, stack: AsyncExitStack) -> None:
    """The conversation ends while the recording waits for its people."""
    settings = settings_for(tmp_path, after_interruption="continue")
    crash = Crash(tmp_path, stack)
    await crash.begin(settings)
    node = await crash.next_server(settings)
    await node.registry.live(crash.recording.id).until(lambda phase: phase is Phase.RESUMING)
    await node.recordings.stop(crash.recording.id, stopped_by=Caller())
    over = await node.until(crash.recording.id, "AVAILABLE", "FAILED")
    assert (over.state, over.bytes) == (RecordingState.AVAILABLE, 2000)


@pytest.mark.parametrize(
    "terms",
    [{"after_interruption": "new"}, {"after_interruption": "continue", "no_media_timeout_s": 0.001}],
    ids=["a new one is wanted", "too long ago"],
)
async def test_what_there_is_becomes_an_object(
    tmp_path: Path, stack: AsyncExitStack, terms: dict[str, object]
) -> None:
    settings = settings_for(tmp_path, **terms)
    crash = Crash(tmp_path, stack)
    await crash.begin(settings)
    await asyncio.sleep(0.01)
    node = await crash.next_server(settings)
    over = await node.until(crash.recording.id, "AVAILABLE", "FAILED")
    assert (over.state, over.failure) == (RecordingState.AVAILABLE, "worker_died")
    assert over.bytes == 2000
