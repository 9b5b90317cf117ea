"""Log lines: what the log of a failed recording says, and that all of it names the recording."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.log.subject import subject
from recorder.node.logs import log_to
from storage.stores.memory import MemoryStore
from tests.recorder.node import open_node


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = log_to(stream, "json")
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    ours = ("recorder.", "storage.")
    return [
        line for text in log.getvalue().splitlines() if (line := json.loads(text))["logger"].startswith(ours)
    ]


async def test_every_line_of_a_failed_recording_names_it(
    tmp_path: Path, stack: AsyncExitStack, log: io.StringIO
) -> None:
    store = MemoryStore()
    node = await open_node(tmp_path, stack, store)
    started = await node.start()
    await node.publish(started)
    store.faults.outage = "store_failed"  # its parts are refused from now on
    log.seek(log.truncate(0))
    with pytest.raises(BystanderError):
        await node.publish(started, "crash")
    await node.until(started.id, "FINALIZING", "INTERRUPTED")
    store.faults.outage = None
    await node.composed.registry.drain(20.0)
    said = lines(log)
    assert [line for line in said if line.get("recording") != started.id] == []
    died = [line for line in said if line["message"] == "a worker died"]
    assert [line["exit"] for line in died] == ["SIGKILL"]
    assert subject() is None


async def test_lines_of_a_request_at_an_entry_point_name_the_recording(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    node = await open_node(tmp_path, stack, MemoryStore())
    started = await node.start()
    assert started.entry_point is not None
    address = started.entry_point.url.rpartition("/")[2]
    await node.entry_points.check(address, started.entry_point.token)
    assert subject() == started.id
