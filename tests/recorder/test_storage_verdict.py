"""A failed storage test switches recording off, across restarts, until a test passes."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from recorder.archive.storage_test import StorageProbe
from recorder.archive.storage_verdict import FILE, StorageVerdict
from recorder.kernel.errors import BystanderError
from signaling.ports import Caller
from storage.settings import StorageSettings
from storage.stores.memory import Faults, MemoryStore
from tests.recorder.node import open_node
from tests.support.archives import place_of

SETTINGS = StorageSettings(url="memory:")


async def refused(verdict: StorageVerdict) -> str | None:
    try:
        await verdict.check()
    except BystanderError as error:
        assert (error.code, error.status) == ("storage_test_failed", 503)
        return error.detail
    return None


async def test_the_last_test_counts_also_after_a_restart(tmp_path: Path) -> None:
    store = MemoryStore(faults=Faults(outage="store_denied"))
    verdict = StorageVerdict(tmp_path, SETTINGS)
    assert await refused(verdict) is None  # never tested is not failed
    outcome = await StorageProbe(place_of(store), verdict).test()
    assert not outcome["ok"]
    again = StorageVerdict(tmp_path, SETTINGS)
    detail = await refused(again)
    assert detail is not None
    assert "existence" in detail
    assert "refuses our credentials" in detail

    store.faults.outage = None
    assert (await StorageProbe(place_of(store), verdict).test())["ok"]
    assert await refused(again) is None
    last = again.last()
    assert last is not None
    assert last.replaces_parts


async def test_a_verdict_on_another_store_says_nothing(tmp_path: Path) -> None:
    store = MemoryStore(faults=Faults(outage="store_denied"))
    await StorageProbe(place_of(store), StorageVerdict(tmp_path, SETTINGS)).test()
    assert await refused(StorageVerdict(tmp_path, StorageSettings(url="s3://other"))) is None


async def test_a_record_that_cannot_be_read_may_have_said_no(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    verdict = StorageVerdict(tmp_path, SETTINGS)
    assert await refused(verdict) is not None
    await StorageProbe(place_of(MemoryStore()), verdict).test()
    assert await refused(verdict) is None


async def test_nothing_is_recorded_between_a_failed_test_and_the_next_that_passes(tmp_path: Path) -> None:
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, store)
        verdict = StorageVerdict(tmp_path, node.dependencies.settings.storage)
        store.faults.outage = "store_full"
        await StorageProbe(place_of(store), verdict).test()
        store.faults.outage = None
        conversation = await node.conversation()
        with pytest.raises(BystanderError, match="storage_test_failed"):
            await node.recordings.start(conversation.id, started_by=Caller())
        assert await node.recordings.list(conversation.id) == []
        await StorageProbe(place_of(store), verdict).test()
        started = await node.recordings.start(conversation.id, started_by=Caller())
        assert started.entry_point is not None
