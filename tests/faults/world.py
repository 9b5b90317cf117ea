"""The world of one seed: a store, servers that ship spools to it, and writers that record into them."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.faults.lying_store import LyingStore
from tests.faults.oracle import BrokenInvariantError, Oracle
from tests.faults.places import Place
from tests.faults.recorded import FRAGMENT_US, Recording, fragment_of
from tests.storage.test_upload_machine import Told, filled, grown

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

    def __init__(self, seed: int, place: Place, root: Path, disk: Path) -> None:
        self.seed = seed
        self.chance = random.Random(f"adversary {seed}")
        self.place = place
        self.store = LyingStore(place.stores[0], f"lies {seed}")
        self.root = root
        self.disk = disk
        self.clock = ManualClock()
        self.settings = SETTINGS
        self.replaces = self.chance.random() < 0.5
        self.node_name = "first"
        self.uploader: Uploader | None = None
        self.recordings = [Recording(n, f"rec_{n:026d}") for n in range(self.chance.choice((1, 1, 2)))]
        self.trace: list[str] = []
        self.ever: set[str] = set()  # the kinds of lies that the store told so far
        self.oracle = Oracle(place.truth, root, disk, adopts=self.adopts)

    @property
    def adopts(self) -> bool:
        """Whether the store takes the spools' files over, so that damage to them is damage to the object."""
        return self.store.adoption is not None

    @property
    def disk_is_full(self) -> bool:
        return (self.disk / BALLAST).exists()

    @property
    def spools(self) -> Path:
        return self.disk / self.node_name

    # --- servers ---------------------------------------------------------------------------------------
    def _node(self, name: str) -> Uploader:
        lease = NodeLease(
            self.store,
            self.clock,
            installation="ours",
            node=name,
            takeover_after_s=self.settings.takeover_after_s,
        )
        same_disk = self.adopts
        return Uploader(
            self.store,
            self.disk / name,
            self.clock,
            self.settings,
            finalise_init=filled,
            grow_init=filled if same_disk else grown,
            make_movie=Told,
            lease=None if same_disk else lease,
            replaces_parts=self.replaces,
            sleep=soon if self.place.real else at_once,
            seed=self.seed,
        )

    async def _start(self) -> None:
        """A server starts, whatever is in its data directory."""
        self.uploader = self._node(self.node_name)
        try:
            with suppress(BystanderError):  # a store that does not answer is asked again later
                await self.uploader.take_up()
            await self.uploader.recover()
        except BystanderError as error:
            raise BrokenInvariantError(f"a server does not start: {error}") from error
        self.oracle.checked["a server starts"] += 1

    async def _stop(self) -> None:
        if self.uploader is not None:
            await self.uploader.close()
            self.uploader = None
        await asyncio.sleep(0.002)  # its threads end

    async def pass_time(self) -> None:
        for _ in range(self.chance.randrange(1, 8)):
            self._grew()
            await self._breathe()

    def _grew(self) -> None:
        for recording in self.recordings:
            if self.uploader is not None and recording.writer is not None:
                with suppress(BystanderError):
                    self.uploader.grew(recording.id)

    async def _breathe(self) -> None:
        """Until there was a request, or none is to be expected."""
        if not self.place.real:
            await asyncio.sleep(0.0005)
            return
        before = self.store.requests
        for _ in range(BREATHS):
            await asyncio.sleep(BREATH_S)
            if self.store.requests != before:
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
