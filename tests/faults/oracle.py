"""The oracle of the adversary: compares what was told with the truth, and every byte that was acknowledged
with what can be read."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError
from storage.keys import events_key
from storage.reading import open_media
from storage.store import RECORDING_MARK, ObjectStore
from storage.upload_plan.state import StoredObject
from tests.faults.node import Node
from tests.faults.recorded import Recording

NODES = ("first", "other")
LACKS = b'{"kind":"media_missing"'  # what the events of an incomplete recording end with


class BrokenInvariantError(AssertionError):
    """A promise was not kept."""


class Oracle:
    """`checked` counts what was compared, by invariant; `outcomes` what became of recordings."""

    def __init__(self, stores: Sequence[ObjectStore], root: Path, disk: Path, *, adopts: bool) -> None:
        """`stores` tell the truth; spools lie in `disk`, and `adopts` says that stores take them over."""
        self.checked: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._stores = stores
        self._root = root
        self._disk = disk
        self._adopts = adopts

    async def watch(self, recording: Recording, *, lying: bool, shortens: bool) -> None:
        """An object of a recording never becomes shorter; `lying`: the store may have kept less by itself."""
        try:
            info = await self._of(recording).head(recording.key)
        except BystanderError:
            if recording.longest:
                raise BrokenInvariantError("an object vanished") from None
            return
        if info.size < recording.longest and not lying:
            raise BrokenInvariantError(f"an object of {recording.longest} bytes became {info.size}")
        if dict(info.metadata).get(RECORDING_MARK) == recording.id and not shortens:
            recording.longest = max(recording.longest, info.size)
        self.checked["an object never becomes shorter"] += 1

    async def judge(self, recording: Recording) -> None:
        """All that is promised of one recording at its end."""
        data = await self._object(recording)
        held = await asyncio.to_thread(self._everything_kept, recording)
        media = [(n, f) for n, f in enumerate(recording.fragments) if n > 0]
        absent = [n for n, fragment in media if fragment.data not in data]
        for n, fragment in media:
            if n in absent and n not in recording.excused and fragment.data not in held:
                raise BrokenInvariantError(
                    f"fragment {n} of {len(media)} is lost; said: {recording.error or recording.stored}"
                )
            self.checked["acknowledged fragments are somewhere"] += 1
        if recording.stored is not None:
            self._judge_stored(recording, data, absent)
            await self._judge_events(recording)
            await self._judge_leftovers(recording)
        await self._judge_strangers(recording)
        self.checked["recordings judged"] += 1

    def _of(self, recording: Recording) -> ObjectStore:
        return self._stores[recording.home]

    async def _judge_strangers(self, recording: Recording) -> None:
        """Nothing of it lies in a store that it did not begin for."""
        for number, store in enumerate(self._stores):
            if number == recording.home:
                continue
            uploads = [upload.key async for upload in store.uploads.list_uploads(recording.key)]
            objects = [info.key async for info in store.list_objects() if recording.id in info.key]
            if uploads or objects:
                raise BrokenInvariantError(f"another store has {uploads or objects}")
            self.checked["nothing lies in another store"] += 1

    def _judge_stored(self, recording: Recording, data: bytes, absent: list[int]) -> None:
        stored = recording.stored
        assert stored is not None
        if len(data) != stored.size:
            raise BrokenInvariantError(f"{stored.size} bytes were told of an object of {len(data)}")
        known = [n for n in absent if recording.past_from is None or n < recording.past_from]
        if stored.is_whole and known and not self._adopts:  # there fragments are not read again
            raise BrokenInvariantError(f"whole, it was said, without the fragments {known}")
        if not stored.is_whole and not absent:
            self.outcomes["incomplete, and is not"] += 1
        order = [data.find(f.data) for n, f in enumerate(recording.fragments) if n and n not in absent]
        if order != sorted(order):
            raise BrokenInvariantError("fragments are out of order")
        for n in absent if not stored.is_whole else []:
            if n not in recording.excused and not self._kept_aside(recording):
                raise BrokenInvariantError(f"fragment {n} is missing, and the spool was removed")
        self.checked["what is said of it is true"] += 1

    async def _judge_events(self, recording: Recording) -> None:
        store = self._of(recording)
        info = await store.head(events_key(recording.key))
        chunks = [chunk async for chunk in store.read(info.key, 0, info.size)] if info.size else []
        lines = b"".join(chunks).splitlines(keepends=True)
        lacks = [line for line in lines if line.startswith(LACKS)]
        if not recording.events_hit and [line for line in lines if line not in lacks] != recording.events:
            raise BrokenInvariantError(f"events {lines}, not {recording.events}")
        self.checked["events are stored"] += 1
        assert recording.stored is not None
        if len(lacks) != (not recording.stored.is_whole) or lacks != lines[-1:][: len(lacks)]:
            raise BrokenInvariantError(f"{recording.stored}, and its events say {lacks}")
        self.checked["events say whether something is missing"] += 1

    async def _judge_leftovers(self, recording: Recording) -> None:
        inner = self._of(recording)
        dangling = [upload.id async for upload in inner.uploads.list_uploads(recording.key)]
        beside = [info.key async for info in inner.list_objects(f"_bystander/uploads/{recording.id}/")]
        if beside or dangling:
            raise BrokenInvariantError(f"left beside a stored recording: {beside or dangling}")
        self.checked["nothing is left beside"] += 1

    async def _object(self, recording: Recording) -> bytes:
        try:
            info = await self._of(recording).head(recording.key)
        except BystanderError:
            return b""
        return b"".join([chunk async for chunk in self._of(recording).read(recording.key, 0, info.size)])

    def _everything_kept(self, recording: Recording) -> bytes:
        """All that a person could still find of it on the disks."""
        places = [self._disk / node / sub for node in NODES for sub in (recording.id, ".damaged")]
        files = [path for place in places if place.is_dir() for path in place.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)

    def _kept_aside(self, recording: Recording) -> bool:
        return any((self._disk / node / recording.id / "aside").is_dir() for node in NODES)

    async def judge_states(self, node: Node, recordings: list[Recording], root: Path) -> None:
        """What is told of a node after everything is over: what is kept and why, and that nothing waits."""
        silent = ("recording_empty", "spool_missing")
        wanted = {r.id: r.error for r in recordings if r.error is not None and r.error not in silent}
        if node.kept() != wanted:
            raise BrokenInvariantError(f"kept, it was said: {node.kept()}, and is: {wanted}")
        waits = [r.id for r in recordings if r.error is None and r.id in node.troubles()]
        if waits:
            raise BrokenInvariantError(f"{waits} wait for the store, it was said, and are stored")
        if not any(r.error for r in recordings) and node.backlog_bytes():
            raise BrokenInvariantError(f"{node.backlog_bytes()} bytes wait, it was said, and are stored")
        self.checked["what waits and what is kept is said"] += 1
        for recording in recordings:
            if recording.stored is not None:
                await self._judge_playing(recording, root)

    async def _judge_playing(self, recording: Recording, root: Path) -> None:
        media = await open_media(self._of(recording), root, recording.id, recording.key)
        try:
            played = b"".join([chunk async for chunk in media.read(0, media.size)])
        finally:
            await media.close()
        if played != await self._object(recording):
            raise BrokenInvariantError("other bytes are played than are stored")
        self.checked["what is played is what is stored"] += 1

    def judge_again(self, recording: Recording, before: tuple[object, str | None]) -> None:
        """A server that starts once more says the same of what is stored."""
        if before[0] is not None and (_without_proof(recording.stored), recording.error) != (
            _without_proof(before[0]),
            before[1],
        ):
            raise BrokenInvariantError(f"after another start {recording.stored or recording.error}: {before}")
        self.checked["another start says the same"] += 1


def _without_proof(stored: object) -> object:
    """What is said of an object, but for how it was proved: a start that finds no receipt proves it anew."""
    return msgspec.structs.replace(stored, proof=None) if isinstance(stored, StoredObject) else stored
