"""The world of one seed: a store, servers that ship spools to it, and writers that record into them."""

import asyncio
import random
from pathlib import Path

import msgspec

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from tests.faults.lying_store import LyingStore
from tests.faults.node import Node, NodeSettings
from tests.faults.oracle import BrokenInvariantError, Oracle
from tests.faults.places import Place
from tests.faults.recorded import FRAGMENT_US, Recording, fragment_of

PART_SIZE_BYTES = 1200
SETTINGS = msgspec.structs.replace(
    StorageSettings(retry_delay_initial_s=0.001, tail_interval_s=10.0), part_size_bytes=PART_SIZE_BYTES
)
BREATH_S, BREATHS = 0.001, 20  # that a real store gets for a request, each time that time passes
REAL_RETRY_S = 0.002
BALLAST = "ballast"  # what takes all the room of a small disk


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


async def soon(_seconds: float) -> None:
    await asyncio.sleep(REAL_RETRY_S)


class World:
    """One seed's world. `disk` has the spools; `root` what is on no node's disk."""

    def __init__(self, seed: int, place: Place, root: Path, disk: Path, *, adopts: bool) -> None:
        """`adopts`: the stores take the spools' files over: damage to them is damage to the object."""
        self.seed = seed
        self.chance = random.Random(f"adversary {seed}")
        self.place = place
        self.doors = [LyingStore(store, f"lies {seed}") for store in (place.stores[0], *place.second)]
        for door in self.doors:
            door.lies = self.store.lies
        self.root = root
        self.disk = disk
        self.adopts = adopts
        self.clock = ManualClock()
        self.settings = SETTINGS
        self.replaces = self.chance.random() < 0.5
        self.node_name = "first"
        self.configured: tuple[int, ...] = (0,)  # which of the stores the settings have, the default first
        self.node: Node | None = None
        self.recordings = [Recording(n, f"rec_{n:026d}") for n in range(self.chance.choice((1, 1, 2)))]
        self.trace: list[str] = []
        self.ever: set[str] = set()  # the kinds of lies that the store told so far
        self.oracle = Oracle(place.truths, root, disk, adopts=self.adopts)

    @property
    def store(self) -> LyingStore:
        """The first, of which there always is one."""
        return self.doors[0]

    @property
    def requests(self) -> int:
        return sum(door.requests for door in self.doors)

    @property
    def disk_is_full(self) -> bool:
        return (self.disk / BALLAST).exists()

    @property
    def spools(self) -> Path:
        return self.disk / self.node_name

    # --- servers ---------------------------------------------------------------------------------------
    def _node(self, name: str) -> Node:
        settings = self._node_settings(name)
        sleep = soon if self.place.real else at_once
        return Node(self.doors, self.disk / name, self.clock, settings, sleep)

    def _node_settings(self, name: str) -> NodeSettings:
        return NodeSettings(name, self.settings, self.adopts, self.configured, self.replaces, seed=self.seed)

    async def _start(self) -> None:
        """A server starts, whatever is in its data directory."""
        self.node = self._node(self.node_name)
        try:
            await self.node.start()
        except BystanderError as error:
            raise BrokenInvariantError(f"a server does not start: {error}") from error
        self.oracle.checked["a server starts"] += 1

    async def _stop(self) -> None:
        if self.node is not None:
            await self.node.close()
            self.node = None
        await asyncio.sleep(0.002)  # its threads end

    async def pass_time(self) -> None:
        for _ in range(self.chance.randrange(1, 8)):
            self._grew()
            await self._breathe()

    def _grew(self) -> None:
        for recording in self.recordings:
            if self.node is not None and recording.writer is not None:
                self.node.grew(recording)

    async def _breathe(self) -> None:
        """Until there was a request, or none is to be expected."""
        if not self.place.real:
            await asyncio.sleep(0.0005)
            return
        before = self.requests
        for _ in range(BREATHS):
            await asyncio.sleep(BREATH_S)
            if self.requests != before:
                return

    # --- recording -------------------------------------------------------------------------------------
    def _one(self) -> Recording:
        return self.chance.choice(self.recordings)

    def _append(self, recording: Recording) -> None:
        if recording.writer is None:
            return
        number = len(recording.fragments)
        fragment = fragment_of(recording.number, number, self.chance.randrange(20, 700) if number else 96)
        try:
            recording.writer.append(fragment)
        except BystanderError:
            return
        recording.fragments.append(fragment)

    def _create(self, recording: Recording) -> None:
        recording.writer = SpoolWriter.create(self.spools, recording.facts)

    def _end(self, recording: Recording) -> None:
        if recording.writer is None:
            return
        duration_us = max(0, len(recording.fragments) - 1) * FRAGMENT_US
        recording.writer.end(EndReason.NORMAL, None, duration_us)
        recording.ended = True
        self._die(recording)

    def _die(self, recording: Recording) -> None:
        if recording.writer is not None:
            recording.writer.close()
            recording.writer = None
