"""The journal beside an upload: what no part holds yet, so that the loss of a node's disk costs seconds."""

import asyncio
import math
from collections.abc import Sequence

from recorder.kernel.clock import Clock
from recorder.kernel.limits import FRAGMENT_DURATION_S_MAX
from storage.spool.durable_files import disk_errors
from storage.spool.format import EVENTS, IndexEntry
from storage.spool.reader import SpoolReader
from storage.store import ObjectProperties, ObjectStore
from storage.takeover import journal_plan as plan
from storage.takeover.journal_events import EventsKept, read_lines
from storage.takeover.journal_format import Page, PageHeader, is_page, pack_page, side_prefix
from storage.takeover.journal_plan import Drop, PutJournal, PutPart, PutPendingFragment, TailStep
from storage.takeover.lease import NodeLease
from storage.upload_plan.plan import SendPart
from storage.upload_plan.state import UploadState

_PROPERTIES = ObjectProperties("application/octet-stream")
_EVENTS_PROPERTIES = ObjectProperties("application/jsonl")


# What is shorter comes whole with the next tail or the one after; only pages at rest grow on.
GROWN_US_MIN = round(0.75 * FRAGMENT_DURATION_S_MAX * 1_000_000)


class Journal:
    """What lies beside one recording's upload. Every step may be repeated after any failure."""

    def __init__(
        self, store: ObjectStore, reader: SpoolReader, lease: NodeLease, clock: Clock, *, interval_s: float
    ) -> None:
        self._store = store
        self._reader = reader
        self._lease = lease
        self._clock = clock
        self._interval_s = interval_s
        self._prefix = side_prefix(reader.facts.recording)
        self._names: set[str] | None = None  # None: not asked yet
        self._events = EventsKept({})
        self._growing: IndexEntry | None = None
        self._last_s = self._now_s()

    @property
    def due_in_s(self) -> float:
        """When the next tail is wanted."""
        return max(0.0, self._last_s + self._interval_s - self._now_s())

    @property
    def wait_s(self) -> float:
        """How long there is nothing to do beside an upload that waits; a tail that is due waits for media."""
        return self.due_in_s or math.inf

    async def look(self) -> None:
        """Learn what an earlier process left, asked of the store once, and what grows now."""
        if self._names is None:
            listed = self._store.list_objects(self._prefix)
            sizes = {info.key.removeprefix(self._prefix): info.size async for info in listed}
            self._events = EventsKept(sizes)
            self._names = {name for name in sizes if is_page(name)}
        if self.due_in_s <= 0:
            found = await asyncio.to_thread(self._reader.growing)
            self._growing = found[0] if found is not None and found[0].duration_us >= GROWN_US_MIN else None

    def next_step(
        self, state: UploadState, entries: Sequence[IndexEntry], sending: SendPart | None
    ) -> TailStep | None:
        """What to do now, after `look`, and before the part `sending` is sent."""
        due = self.due_in_s <= 0
        return plan.next_step(
            self._names or (), state, entries, due=due, growing=self._growing, sending=sending
        )

    async def perform(self, step: TailStep, state: UploadState, entries: Sequence[IndexEntry]) -> None:
        """Do it."""
        if self._names is None:
            raise ValueError("look comes first")
        match step:
            case PutJournal():
                began_s = self._now_s()
                await self._put_events()
                covered = entries[step.first : step.last + 1]
                data, _ = await asyncio.to_thread(self._reader.read_checked, covered)
                name = plan.name_of(step)
                await self._put(name, self._page(state, covered, data, None))
                self._names.add(name)
                if step.last + 1 == len(entries) and self._growing is None:
                    self._last_s = began_s
            case PutPendingFragment(entry):
                began_s = self._now_s()
                found = await asyncio.to_thread(self._reader.growing)
                if found is None or found[0] != entry:
                    return  # it has grown meanwhile: the next step is another
                await self._put_events()
                await self._put(plan.name_of(step), self._page(state, [entry], found[1], step))
                self._names.add(plan.name_of(step))
                self._last_s = began_s
            case PutPart(part):
                name = plan.page_names(state, part)
                covered = [e for e in entries if part.offset <= e.offset < part.offset + part.size]
                await self._put(name, self._page(state, covered, b"", step))
                self._names.add(name)
            case Drop(name):
                await self._store.delete(self._prefix + name)
                self._names.discard(name)

    async def clear(self) -> None:
        """The object is whole and verified: nothing beside it is needed. The claim goes last."""
        names = [info.key async for info in self._store.list_objects(self._prefix)]
        for key in sorted(names, key=lambda key: is_page(key.removeprefix(self._prefix)), reverse=True):
            await self._store.delete(key)
        self._lease.forget(self._reader.facts.recording)

    async def _put_events(self) -> None:
        """Store what happened since the last tail."""
        more = True
        while more:
            lines = await asyncio.to_thread(self._read_events)
            name = self._events.name_for(lines)
            if name is not None:
                await self._store.put(self._prefix + name, lines, _EVENTS_PROPERTIES)
            more = self._events.stored(lines)

    def _read_events(self) -> bytes:
        with disk_errors():
            return read_lines(self._reader.directory / EVENTS, self._events.start)

    async def _put(self, name: str, page: Page) -> None:
        data = await asyncio.to_thread(pack_page, page)
        await self._store.put(self._prefix + name, data, _PROPERTIES)

    def _page(
        self,
        state: UploadState,
        entries: Sequence[IndexEntry],
        data: bytes,
        about: PutPart | PutPendingFragment | None,
    ) -> Page:
        header = PageHeader(
            installation=self._lease.installation,
            node=self._lease.node,
            facts=self._reader.facts,
            head=state.head,
            part_size_bytes=state.part_size_bytes,
            head_growth=state.head_growth,
            upload_id=state.upload_id,
            part=about.part if isinstance(about, PutPart) else None,
            provisional=isinstance(about, PutPendingFragment),
        )
        return Page(header, list(entries), data)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
