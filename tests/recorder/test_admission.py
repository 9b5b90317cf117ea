"""Admission: no more recordings than a machine can hold, and none refused where there is room."""

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError
from recorder.settings.definitions import LimitSettings
from recorder.worker_pool.admission import WORKER_BYTES, Budget, shortage
from recorder.worker_pool.occupancy import NEW_WORKER_CORES, Occupancy, OccupancyMeter
from signaling.ports import Caller
from storage.stores.memory import MemoryStore
from tests.recorder.node import open_node, settings_for

BUDGET = Budget(cores=4, recordings_max=100, cpu_share_max=0.75, memory_free_bytes_min=2**27)
PLENTY = 2**34


def test_cores_are_what_workers_used_since_the_look_before() -> None:
    meter = OccupancyMeter()
    assert meter.look(10.0, {"a": 5.0, "b": 1.0}, behind=False).cores == pytest.approx(2 * NEW_WORKER_CORES)
    now = meter.look(15.0, {"a": 6.0, "c": 0.5}, behind=True)
    assert now == Occupancy(pytest.approx(0.2 + NEW_WORKER_CORES), 2, True)
    assert meter.look(20.0, {}, behind=False) == Occupancy()


@given(cores=st.floats(0, 8), workers=st.integers(1, 60), unseen=st.integers(0, 10))
def test_what_is_admitted_fits(cores: float, workers: int, unseen: int) -> None:
    occupancy = Occupancy(cores, workers)
    admitted = shortage(BUDGET, workers + unseen, occupancy, PLENTY) is None
    assert admitted == (cores + (unseen + 1) * occupancy.cores_of_one <= BUDGET.cores_max)


def test_the_first_recording_is_never_refused_for_want_of_cores() -> None:
    assert shortage(Budget(1, 100, 0.01, 0), 0, Occupancy(), PLENTY) is None


@pytest.mark.parametrize(
    ("running", "occupancy", "memory", "word"),
    [
        (100, Occupancy(0.1, 100), PLENTY, "all that it may"),
        (3, Occupancy(2.9, 3), PLENTY, "2.9 of 3.0 cores"),
        (3, Occupancy(0.5, 3, behind=True), PLENTY, "fewer pictures"),
        (0, Occupancy(), 2**27 + WORKER_BYTES - 1, "memory"),
    ],
)
def test_what_is_lacking_is_said(running: int, occupancy: Occupancy, memory: int, word: str) -> None:
    lacking = shortage(BUDGET, running, occupancy, memory)
    assert lacking is not None and word in lacking


async def test_a_full_node_refuses_and_says_so(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(settings_for(tmp_path), limits=LimitSettings(recordings_max=1))
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, MemoryStore(), settings)
        first, second = await node.conversation(), await node.conversation()
        await node.recordings.start(first.id, started_by=Caller())
        with pytest.raises(BystanderError) as refused:
            await node.recordings.start(second.id, started_by=Caller())
        assert (refused.value.code, refused.value.status) == ("overloaded", 503)
        assert await node.recordings.list(second.id) == []
