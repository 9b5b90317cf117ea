"""Any schedule of growth, outages, lost answers, lost parts and restarts ends in the same object."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.kernel.clock import ManualClock
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.stores.memory import Faults, MemoryStore
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import sequence

PART_SIZE_BYTES = 1000
SETTINGS = StorageSettings(part_size_bytes=PART_SIZE_BYTES, retry_delay_initial_s=0.001)
TURNS = 12  # turns of the event loop and of threads that an uploader gets between two steps

Step = str | int
steps = st.lists(
    st.one_of(
        st.integers(50, 1500),  # append a fragment of so many bytes
        st.sampled_from(["outage", "denied", "back", "restart", "forget_uploads", "run"]),
    ),
    max_size=25,
)
rates = st.floats(0, 0.4)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def filled(init: bytes, entries: object) -> bytes:
    return init[:-8] + b"duration"


class World:
    """One recording, its store, and uploaders that come and go."""

    def __init__(self, root: Path, faults: Faults, *, fill: bool, replaces: bool) -> None:
        self.store = MemoryStore(seed=7, faults=faults)
        self.root = root
        self.writer = SpoolWriter.create(root, facts())
        self.fill, self.replaces = filled if fill else None, replaces
        self.uploader = self.new_uploader()

    def new_uploader(self) -> Uploader:
        return Uploader(
            self.store,
            self.root,
            ManualClock(),
            SETTINGS,
            finalise_init=self.fill,
            replaces_parts=self.replaces,
            sleep=at_once,
            seed=3,
        )

    async def run(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0.0005)

    async def take(self, step: str) -> None:
        match step:
            case "outage":
                self.store.faults.outage = "store_unreachable"
            case "denied":
                self.store.faults.outage = "store_denied"
            case "back":
                self.store.faults.outage = None
            case "forget_uploads":
                self.store.forget_uploads()
            case "restart":
                await self.uploader.close()
                self.uploader = self.new_uploader()
                await self.uploader.recover()
            case "run":
                await self.run()


async def live(schedule: list[Step], faults: Faults, root: Path, *, fill: bool, replaces: bool) -> None:
    world = World(root, faults, fill=fill, replaces=replaces)
    world.uploader.begin(RECORDING)
    numbers = [step for step in schedule if isinstance(step, int)]
    fragments = sequence(*numbers, 10)
    appended = iter(fragments)
    world.writer.append(next(appended))
    for step in schedule:
        if isinstance(step, int):
            world.writer.append(next(appended))
            world.uploader.grew(RECORDING)
        else:
            await world.take(step)
    world.writer.append(next(appended))
    world.writer.end(EndReason.NORMAL, None, 0)
    world.writer.close()
    world.store.faults.outage = None
    async with asyncio.timeout(20):
        stored = await world.uploader.finish(RECORDING)
    faults.refused_rate = faults.late_rate = faults.lost_part_rate = faults.corrupt_rate = 0.0
    data = b"".join(fragment.data for fragment in fragments)
    if fill:
        data = filled(data[:1024], None) + data[1024:]
    assert stored.size == len(data)
    chunks = [chunk async for chunk in world.store.read(facts().key, 0, len(data))]
    assert b"".join(chunks) == data
    assert [upload async for upload in world.store.uploads.list_uploads()] == []
    await world.uploader.close()
    again = world.new_uploader()
    before = len(world.store.requests)
    await again.recover()
    assert await again.finish(RECORDING) == stored
    assert len(world.store.requests) == before
    await again.close()


@settings(max_examples=60, deadline=None)
@given(
    schedule=steps,
    refused=rates,
    late=rates,
    lost=st.floats(0, 0.2),
    corrupt=st.floats(0, 0.2),
    store_replaces=st.booleans(),
    believed=st.booleans(),
    fill=st.booleans(),
)
def test_the_same_object_comes_of_every_schedule(
    schedule: list[Step],
    refused: float,
    late: float,
    lost: float,
    corrupt: float,
    store_replaces: bool,
    believed: bool,
    fill: bool,
) -> None:
    faults = Faults(
        refused_rate=refused,
        late_rate=late,
        lost_part_rate=lost,
        corrupt_rate=corrupt,
        replaces_parts=store_replaces,
        part_size_bytes_min=PART_SIZE_BYTES,
    )
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(schedule, faults, Path(directory) / "spool", fill=fill, replaces=believed))


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_store_that_refuses_the_replaced_head_gets_it_held_back(root: Path, replaces: bool) -> None:
    faults = Faults(replaces_parts=replaces, part_size_bytes_min=PART_SIZE_BYTES)
    await live([900, "run", 900, 900, "run", 900], faults, root, fill=True, replaces=True)
