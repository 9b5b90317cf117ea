"""Two nodes, one bucket, everything that can happen: what is in the bucket at the end is what was recorded.

The invariants: no acknowledged fragment is missing and none is there twice, nobody writes into what another
goes on with, finalising again changes nothing, and what is said to be available was verified.
"""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Fragment
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.stores.memory import Faults, MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import init, media

PART_SIZE_BYTES = 1000
SETTINGS = msgspec.structs.replace(
    StorageSettings(retry_delay_initial_s=0.001, tail_interval_s=10.0), part_size_bytes=PART_SIZE_BYTES
)
KEY = facts().key
LOOKS = 6  # turns of threads and the event loop between two steps
INIT_BYTES = 64
RATES = st.floats(0, 0.3)


def filled(data: bytes, entries: object) -> bytes:
    return data[:-8] + b"duration"


def grown(data: bytes, entries: object) -> bytes:
    return filled(data, entries) + b"and the index of a long recording"


class Told:
    """A movie whose tables name every fragment that it was told of, so a missing one would be missed."""

    def __init__(self, init: bytes) -> None:
        self.inner_init = init[:-8]
        self._told = hashlib.sha256()

    def take(self, start: int, stop: int, end_us: int, read: Callable[[int, int], bytes]) -> bool:
        self._told.update(read(start, stop))
        return True

    def head(self, inner: bytes, media_bytes: int) -> bytes:
        return media_bytes.to_bytes(8, "big") + inner

    def movie(self, moved: int) -> bytes:
        return moved.to_bytes(8, "big") + self._told.digest() * 20


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


class Uploads(RuleBasedStateMachine):
    """`model` is what the writer was told is safe; `first` has its disk, `second` only the bucket."""

    @initialize(seed=st.integers(0, 1000), replaces=st.booleans(), container=st.sampled_from(["fmp4", "mp4"]))
    def begin(self, seed: int, replaces: bool, container: str) -> None:
        self.container = container
        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.loop = asyncio.new_event_loop()
        self.threads = ThreadPoolExecutor()
        self.loop.set_default_executor(self.threads)
        self.clock = ManualClock()
        self.store = MemoryStore(seed, Faults(part_size_bytes_min=PART_SIZE_BYTES, replaces_parts=replaces))
        self.replaces = replaces
        self.writer: SpoolWriter | None = SpoolWriter.create(self.root / "first", facts())
        self.model: list[Fragment] = []
        self.over = False
        self.first: Uploader | None = self.node("first")
        self.second: Uploader | None = None
        self.run(self.start())

    def node(self, name: str) -> Uploader:
        lease = NodeLease(
            self.store,
            self.clock,
            installation="ours",
            node=name,
            takeover_after_s=SETTINGS.takeover_after_s,
        )
        return Uploader(
            self.store,
            self.root / name,
            self.clock,
            msgspec.structs.replace(SETTINGS, container=self.container),
            finalise_init=filled,
            grow_init=grown,
            make_movie=Told,
            lease=lease,
            replaces_parts=self.replaces,
            sleep=at_once,
            seed=3,
        )

    def run(self, action: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(action)

    async def start(self) -> None:
        if self.first is not None:
            self.first.begin(RECORDING)

    async def pass_time(self) -> None:
        for _ in range(LOOKS):
            if self.first is not None and not self.over:
                self.first.grew(RECORDING)
            await asyncio.sleep(0.001)

    @precondition(lambda self: self.writer is not None)
    @rule(size=st.integers(20, 900))
    def append(self, size: int) -> None:
        fragment = media(len(self.model), size) if self.model else init(INIT_BYTES)
        assert self.writer is not None
        self.writer.append(fragment)
        self.model.append(fragment)
        self.run(self.pass_time())

    @rule(seconds=st.sampled_from([2, 10, 60]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(self.pass_time())

    @rule(code=st.sampled_from(["store_unreachable", "store_throttled", "store_denied", "store_failed"]))
    def outage(self, code: str) -> None:
        self.store.faults.outage = code
        self.run(self.pass_time())

    @rule(late=RATES, lost=st.floats(0, 0.1), corrupt=st.floats(0, 0.2), refused=st.floats(0, 0.3))
    def the_store_is_bad(self, late: float, lost: float, corrupt: float, refused: float) -> None:
        faults = self.store.faults
        faults.late_rate, faults.lost_part_rate = late, lost
        faults.corrupt_rate, faults.refused_rate = corrupt, refused
        self.run(self.pass_time())

    @rule()
    def the_store_is_well(self) -> None:
        self.heal()
        self.run(self.pass_time())

    @precondition(lambda self: not self.over)
    @rule()
    def the_server_crashes_and_starts(self) -> None:
        self.run(self._restart())

    async def _restart(self) -> None:
        await self._die()
        self.first = self.node("first")
        await self.first.recover()
        await self.pass_time()

    async def _die(self) -> None:
        """The first node's process is gone, and so are its threads."""
        if self.first is not None:
            await self.first.close()
        self.threads.shutdown()
        self.threads = ThreadPoolExecutor()
        self.loop.set_default_executor(self.threads)

    @precondition(lambda self: self.writer is not None)
    @rule()
    def the_writer_dies(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None

    @precondition(lambda self: not self.over)
    @rule()
    def another_node_looks(self) -> None:
        """The first one lives: it keeps what it has."""
        self.heal()
        self.run(self._another_looks())

    async def _another_looks(self) -> None:
        await self.pass_time()
        second = self.node("second")
        survey = await second.take_up()
        await second.close()
        assert survey.restored == []
        assert not (self.root / "second" / RECORDING).exists()

    @precondition(lambda self: len(self.model) > 1 and not self.over)
    @rule()
    def finalise(self) -> None:
        if self.writer is not None:
            self.writer.end(EndReason.NORMAL, None, 0)
            self.writer.close()
            self.writer = None
        self.heal()
        self.run(self._finalise())

    async def _finalise(self) -> None:
        assert self.first is not None
        async with asyncio.timeout(20):
            stored = await self.first.finish(RECORDING)
        self.heal()
        assert (stored.damaged_fragments, await self.object()) == (0, self.expected_here())
        assert stored.size == len(self.expected_here())
        assert await self.beside() == []
        before = len(self.store.requests)
        again = self.node("first")
        await again.recover()
        assert await again.finish(RECORDING) == stored
        assert len(self.store.requests) == before
        await again.close()
        self.over = True

    @precondition(lambda self: not self.over)
    @rule(settled=st.booleans())
    def the_node_is_lost_with_its_disk(self, settled: bool) -> None:
        """With a well store, what lies more than a tail interval back is in the bucket."""
        self.run(self._lose_node(settled))

    async def _lose_node(self, settled: bool) -> None:
        safe = 0
        if settled:
            self.heal()
            safe = await self._settle()
        await self._die()
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        shutil.rmtree(self.root / "first")
        self.heal()
        self.clock.advance(SETTINGS.takeover_after_s + 1)
        self.second = self.node("second")
        survey = await self.second.take_up()
        assert survey.unknown == [] or not settled
        if RECORDING in survey.restored:
            await self._finish_elsewhere(safe)
        else:
            assert safe < 2
        self.over = True

    async def _finish_elsewhere(self, safe: int) -> None:
        assert self.second is not None
        try:
            async with asyncio.timeout(20):
                stored = await self.second.finish(RECORDING)
        except BystanderError as error:
            assert error.code == "recording_empty"
            assert safe < 2
            return
        data = await self.object()
        if stored.damaged_fragments == 0:
            prefixes = [self.expected(count) for count in range(max(2, safe), len(self.model) + 1)]
            assert data in prefixes
        else:
            assert not safe  # parts that the store lost and that we had not asked for again
        assert await self.beside() == []

    async def _settle(self) -> int:
        """Let the uploader do all that is due; the number of fragments that are then in the bucket."""
        assert self.first is not None
        count = len(self.model)
        if not count or (self.root / "first" / RECORDING / "end.json").exists():
            return 0
        await self._restart()  # so that it asks the store what it has
        self.clock.advance(SETTINGS.tail_interval_s)
        quiet, before = 0, -1
        while quiet < 12:
            self.first.grew(RECORDING)
            await asyncio.sleep(0.005)
            quiet = quiet + 1 if before == len(self.store.requests) else 0
            before = len(self.store.requests)
        return 0 if self.first.troubles() else count

    @invariant()
    def what_is_visible_is_whole(self) -> None:
        if hasattr(self, "store") and not self.over:
            assert KEY not in self.store.keys or self.writer is None

    def heal(self) -> None:
        faults = self.store.faults
        faults.outage = None
        faults.late_rate = faults.lost_part_rate = faults.corrupt_rate = faults.refused_rate = 0.0

    def expected(self, count: int) -> bytes:
        head, *rest = (fragment.data for fragment in self.model[:count])
        return grown(head, None) + b"".join(rest)

    def expected_here(self) -> bytes:
        """Of all that was recorded, where the spool is; who has only the bucket cannot read its fragments."""
        if self.container == "fmp4":
            return self.expected(len(self.model))
        init, *rest = (fragment.data for fragment in self.model)
        movie = Told(init)
        for data in rest:
            movie.take(0, 0, 0, lambda start, stop, data=data: data)  # type: ignore[misc]
        head = movie.head(grown(movie.inner_init, None), sum(map(len, rest)))
        return head + b"".join(rest) + movie.movie(len(head) - len(init))

    async def object(self) -> bytes:
        info = await self.store.head(KEY)
        return b"".join([chunk async for chunk in self.store.read(KEY, 0, info.size)])

    async def beside(self) -> list[str]:
        listed = [info.key async for info in self.store.list_objects("_bystander/uploads/")]
        return listed + [upload.id async for upload in self.store.uploads.list_uploads()]

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for node in (self.first, self.second):
            if node is not None:
                self.run(node.close())
        if self.writer is not None:
            self.writer.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()


Uploads.TestCase.settings = settings(max_examples=15, stateful_step_count=16, deadline=None)
TestUploads = Uploads.TestCase
