"""A seeded adversary of storage: damages files, lets stores lie, kills, restores the past; and an oracle
that judges.

    python -m tests.faults.adversary memory 0 100      # the seeds from 0 on, on one store; prints what broke

One seed is one program: it draws a store's manner, settings, and some thirty steps. In the end the store
becomes well (or stays a liar), the server starts once more, and every recording is finished. Then the
oracle compares all bytes that the writer was told are safe with what can be read, and what was said of the
recording with the truth.
"""

import asyncio
import logging
import random
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.keys import events_key
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter
from storage.store import RECORDING_MARK, ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import Faults, MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import StoredObject, Uploader
from tests.faults.lying_store import Lies, LyingStore
from tests.storage.test_upload_machine import Told, filled, grown

PART_SIZE_BYTES = 1200
INIT_BYTES = 96
STEPS = 30
FRAGMENT_US = 2_000_000
FINISH_S_MAX = 20.0  # of real time, with waits that take none
SETTINGS = msgspec.structs.replace(
    StorageSettings(retry_delay_initial_s=0.001, tail_interval_s=10.0), part_size_bytes=PART_SIZE_BYTES
)
SMALL_FILES = ("facts.json", "facts.copy", "end.json", "end.copy", "upload.json", "upload.copy", "init")


# A store that acknowledges and does not keep, or keeps something else, can be told nothing: signs of life,
# too.
UNKEPT = {"forgotten", "flipped", "shortened"}


class BrokenInvariantError(AssertionError):
    """The oracle found that a promise was not kept."""


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!I4s", len(body) + 8, kind) + body


def fragment_of(recording: int, number: int, size: int) -> Fragment:
    """The init segment, or a media fragment whose bytes exist once only."""
    noise = random.Random(recording * 100_003 + number).randbytes(size)
    if number == 0:
        data = box(b"ftyp", noise[:8]) + box(b"moov", noise[:INIT_BYTES]) + box(b"free", bytes(40))
        return Fragment(kind=FragmentKind.INIT, data=data)
    data = box(b"moof", number.to_bytes(8, "big")) + box(b"mdat", noise)
    start_us = (number - 1) * FRAGMENT_US
    return Fragment(kind=FragmentKind.MEDIA, data=data, start_us=start_us, duration_us=FRAGMENT_US)


@dataclass
class Recording:
    """One recording: what its writer was told is safe, and what nobody can be asked for any more."""

    number: int
    id: str
    fragments: list[Fragment] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    writer: SpoolWriter | None = None
    ended: bool = False
    excused: set[int] = field(default_factory=set)  # fragments whose only copy may have been destroyed
    past_from: int | None = None  # a spool of the past knows nothing of the fragments from this one on
    small_damage: Counter[str] = field(default_factory=Counter)  # how often each pair of small files was hit
    events_hit: bool = False
    snapshot: tuple[Path, int, int] | None = None  # where, fragments, events
    disk_lost: bool = False
    stored: StoredObject | None = None
    error: str | None = None
    longest: int = 0  # that its object ever was

    @property
    def key(self) -> str:
        return f"conv_{self.number}/{self.id}.mp4"

    @property
    def facts(self) -> SpoolFacts:
        return SpoolFacts(
            recording=self.id,
            conversation=f"conv_{self.number}",
            key=self.key,
            content_type="video/mp4",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    def forget_from(self, number: int) -> None:
        """Nothing on the disk says any more that there were fragments from this one on."""
        self.past_from = number if self.past_from is None else min(number, self.past_from)

    def behind(self, place: int, *, whole: bool = False) -> set[int]:
        """The fragments that end behind this byte of the media, or begin there."""
        return {n for n in range(len(self.fragments)) if self.start_of(n if whole else n + 1) > place}

    def start_of(self, number: int) -> int:
        return sum(len(fragment.data) for fragment in self.fragments[:number])


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


class Adversary:
    """One seed's world. `checked` counts what the oracle compared, by invariant."""

    def __init__(self, seed: int, inner: ObjectStore, root: Path) -> None:
        self.seed = seed
        self.chance = random.Random(f"adversary {seed}")
        self.store = LyingStore(inner, f"lies {seed}")
        self.root = root
        self.clock = ManualClock()
        self.settings = SETTINGS
        self.replaces = self.chance.random() < 0.5
        self.node_name = "first"
        self.uploader: Uploader | None = None
        self.recordings = [Recording(n, f"rec_{n:026d}") for n in range(self.chance.choice((1, 1, 2)))]
        self.trace: list[str] = []
        self.ever: set[str] = set()  # the kinds of lies that the store told so far
        self.checked: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    # --- the program -----------------------------------------------------------------------------------
    async def run(self) -> None:
        self._draw_manner()
        for recording in self.recordings:
            recording.writer = SpoolWriter.create(self.spools, recording.facts)
        await self._start()
        for recording in self.recordings:
            self._append(recording)
        steps = self._steps()
        for _ in range(STEPS):
            name, step = self.chance.choices([(n, s) for n, _, s in steps], [w for _, w, _ in steps])[0]
            self.trace.append(name)
            await step()
            await self._watch()
        await self._finish()

    @property
    def spools(self) -> Path:
        return self.root / self.node_name

    def _draw_manner(self) -> None:
        container = self.chance.choice(("fmp4", "fmp4", "mp4"))
        tail_s = self.chance.choice((0.0, 10.0, 10.0))
        self.settings = msgspec.structs.replace(SETTINGS, container=container, tail_interval_s=tail_s)
        self.store.lies.opaque_tags = self.chance.random() < 0.2

    def _steps(self) -> list[tuple[str, int, Callable[[], Awaitable[None]]]]:
        return [
            ("append", 12, self.append),
            ("event", 3, self.event),
            ("run", 6, self.pass_time),
            ("wait", 4, self.time_passes),
            ("lie", 4, self.the_store_lies),
            ("outage", 2, self.outage),
            ("well", 3, self.the_store_is_well),
            ("restart", 3, self.the_server_restarts),
            ("settings", 1, self.the_server_starts_with_other_settings),
            ("writer dies", 1, self.a_writer_dies),
            ("end", 1, self.a_recording_ends),
            ("flip media", 1, self.a_bit_of_media_flips),
            ("cut media", 1, self.media_is_cut),
            ("cut index", 1, self.the_index_is_cut),
            ("flip index", 1, self.a_bit_of_the_index_flips),
            ("damage small", 3, self.a_small_file_is_damaged),
            ("snapshot", 2, self.a_spool_is_backed_up),
            ("past", 1, self.a_spool_of_the_past_returns),
            ("another looks", 1, self.another_node_looks),
            ("forget uploads", 1, self.the_bucket_aborts_uploads),
            ("finish early", 1, self.one_is_finished_early),
        ]

    # --- servers ---------------------------------------------------------------------------------------
    def _node(self, name: str) -> Uploader:
        lease = NodeLease(
            self.store,
            self.clock,
            installation="ours",
            node=name,
            takeover_after_s=self.settings.takeover_after_s,
        )
        same_disk = self.store.adoption is not None
        return Uploader(
            self.store,
            self.root / name,
            self.clock,
            self.settings,
            finalise_init=filled,
            grow_init=filled if same_disk else grown,
            make_movie=Told,
            lease=None if same_disk else lease,
            replaces_parts=self.replaces,
            sleep=at_once,
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
        self.checked["a server starts"] += 1

    async def _stop(self) -> None:
        if self.uploader is not None:
            await self.uploader.close()
            self.uploader = None
        await asyncio.sleep(0.002)  # its threads end

    async def the_server_restarts(self) -> None:
        await self._stop()
        await self._start()
        await self.pass_time()

    async def the_server_starts_with_other_settings(self) -> None:
        await self._stop()
        self.settings = msgspec.structs.replace(
            self.settings,
            part_size_bytes=self.chance.choice((900, 1200, 2500)),
            container=self.chance.choice(("fmp4", "mp4")),
            tail_interval_s=self.chance.choice((0.0, 10.0)),
        )
        self.replaces = self.chance.random() < 0.5
        await self._start()

    async def pass_time(self) -> None:
        for _ in range(self.chance.randrange(1, 8)):
            for recording in self.recordings:
                if self.uploader is not None and recording.writer is not None:
                    with suppress(BystanderError):
                        self.uploader.grew(recording.id)
            await asyncio.sleep(0.0005)

    async def time_passes(self) -> None:
        self.clock.advance(self.chance.choice((2, 11, 60)))
        await self.pass_time()

    async def another_node_looks(self) -> None:
        if self.store.adoption is not None:
            return
        other = self._node("other")
        with suppress(BystanderError):
            survey = await other.take_up()
            if survey.restored and not self.ever & UNKEPT:
                raise BrokenInvariantError("another node took what a living one works on")
            self.checked["a living node keeps what it has"] += 1
        await other.close()

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

    async def append(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self._append(self._one())
        await self.pass_time()

    async def event(self) -> None:
        recording = self._one()
        if recording.writer is not None:
            line = b'{"n":%d}' % len(recording.events)
            recording.writer.append_event(line)
            recording.events.append(line + b"\n")

    async def a_writer_dies(self) -> None:
        recording = self._one()
        if recording.writer is not None:
            recording.writer.close()
            recording.writer = None

    async def a_recording_ends(self) -> None:
        self._end(self._one())

    def _end(self, recording: Recording) -> None:
        if recording.writer is not None:
            duration_us = max(0, len(recording.fragments) - 1) * FRAGMENT_US
            recording.writer.end(EndReason.NORMAL, None, duration_us)
            recording.writer.close()
            recording.writer = None
            recording.ended = True

    async def one_is_finished_early(self) -> None:
        recording = self._one()
        if recording.writer is None and self.uploader is not None:
            with suppress(BystanderError, TimeoutError):
                async with asyncio.timeout(0.05):
                    recording.stored = await self.uploader.finish(recording.id)

    # --- the store -------------------------------------------------------------------------------------
    async def the_store_lies(self) -> None:
        kinds = ["refused", "late", "repeated", "flipped", "shortened", "forgotten", "wrong_tags", "stale"]
        kinds += ["broken_off", "unmarked"]
        for kind in self.chance.sample(kinds, self.chance.randrange(1, 4)):
            setattr(self.store.lies, kind, self.chance.choice((0.05, 0.2, 0.5)))
            self.ever.add(kind)
            self.trace.append(kind)
        self.store.lies.gone_as = self.chance.choice(("upload_missing", "object_missing", "store_failed"))
        await self.pass_time()

    async def outage(self) -> None:
        self.store.lies.outage = self.chance.choice(
            ("store_unreachable", "store_throttled", "store_denied", "store_failed", "bucket_missing")
        )
        await self.pass_time()

    async def the_store_is_well(self) -> None:
        self._heal()
        await self.pass_time()

    def _heal(self) -> None:
        self.store.lies = Lies(opaque_tags=self.store.lies.opaque_tags)

    async def the_bucket_aborts_uploads(self) -> None:
        inner = self.store.inner
        for upload in [upload async for upload in inner.uploads.list_uploads()]:
            await inner.uploads.abort(upload)
        for recording in self.recordings:
            if recording.disk_lost or recording.small_damage or recording.excused:
                recording.excused |= set(range(len(recording.fragments)))

    # --- damage ----------------------------------------------------------------------------------------
    def _file(self, recording: Recording, name: str) -> Path | None:
        path = self.spools / recording.id / name
        return path if path.is_file() and path.stat().st_size else None

    async def a_bit_of_media_flips(self) -> None:
        recording = self._one()
        path = self._file(recording, "media")
        if path is None:
            return
        place = self.chance.randrange(path.stat().st_size)
        _flip(path, place, self.chance.randrange(8))
        recording.excused |= {
            n
            for n in range(len(recording.fragments))
            if recording.start_of(n) <= place < recording.start_of(n + 1)
        }
        if self.store.adoption is not None:  # the file is the object, moved by a longer head
            recording.excused |= set(range(len(recording.fragments)))

    async def media_is_cut(self) -> None:
        recording = self._one()
        path = self._file(recording, "media")
        if path is None or recording.writer is not None:
            return
        await self._stop()
        if not path.is_file():  # it was over just now
            await self._start()
            return
        size = self.chance.randrange(path.stat().st_size)
        with path.open("r+b") as file:
            file.truncate(size)
        recording.excused |= recording.behind(size)
        if self.store.adoption is not None:
            recording.excused |= set(range(len(recording.fragments)))
            recording.longest = 0  # where the file is the object, that was cut, too
            recording.stored = None
        if not recording.ended:
            recording.forget_from(min(recording.behind(size), default=len(recording.fragments)))
        await self._start()

    async def the_index_is_cut(self) -> None:
        recording = self._one()
        path = self._file(recording, "index")
        if path is None or recording.writer is not None:
            return
        await self._stop()
        if not path.is_file():
            await self._start()
            return
        with path.open("r+b") as file:
            file.truncate(self.chance.randrange(path.stat().st_size))
        if not recording.ended:  # the last fragment may be taken for one that was never acknowledged
            recording.forget_from(max(0, len(recording.fragments) - 2))
            recording.excused |= set(range(len(recording.fragments)))
        await self._start()

    async def a_bit_of_the_index_flips(self) -> None:
        recording = self._one()
        path = self._file(recording, "index")
        if path is None or recording.writer is not None:
            return
        size = path.stat().st_size
        place = self.chance.randrange(size)
        _flip(path, place, self.chance.randrange(8))
        if not recording.ended and place >= size - 40:
            last = len(recording.fragments) - 1
            recording.excused.add(last)
            recording.forget_from(last)

    async def a_small_file_is_damaged(self) -> None:
        """One of the two copies; both only by the chance that a second damage finds the other."""
        recording = self._one()
        path = self._file(recording, self.chance.choice(SMALL_FILES))
        if path is None:
            return
        how = self.chance.choice(("flip", "empty", "cut", "garbage", "gone"))
        data = path.read_bytes()
        match how:
            case "flip":
                _flip(path, self.chance.randrange(len(data)), self.chance.randrange(8))
            case "empty":
                path.write_bytes(b"")
            case "cut":
                path.write_bytes(data[: self.chance.randrange(len(data))])
            case "garbage":
                path.write_bytes(self.chance.randbytes(len(data)))
            case "gone":
                path.unlink()
        self.trace.append(f"{how} {path.name}")
        recording.small_damage[path.stem] += 1

    async def a_spool_is_backed_up(self) -> None:
        recording = self._one()
        directory = self.spools / recording.id
        if recording.snapshot is not None or not directory.is_dir():
            return
        kept = self.root / f"backup-{recording.id}"
        try:
            shutil.copytree(directory, kept)
        except (shutil.Error, OSError):  # a file was replaced meanwhile; the backup is given up
            shutil.rmtree(kept, ignore_errors=True)
            return
        recording.snapshot = kept, len(recording.fragments), len(recording.events)

    async def a_spool_of_the_past_returns(self) -> None:
        """A backup of the machine is restored, while no server and no writer works."""
        recording = self._one()
        if recording.snapshot is None:
            return
        await self._stop()
        if recording.writer is not None:
            recording.writer.close()
            recording.writer = None
        kept, fragments, events = recording.snapshot
        directory = self.spools / recording.id
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(kept, directory)
        recording.forget_from(fragments)
        recording.excused |= set(range(fragments, len(recording.fragments)))
        recording.ended = recording.ended and fragments == len(recording.fragments)
        del recording.events[events:]
        recording.events_hit = True
        recording.stored = None
        await self._start()

    # --- the end, and the oracle -----------------------------------------------------------------------
    async def _finish(self) -> None:
        self._heal()
        for recording in self.recordings:
            if self.chance.random() < 0.7:
                self._end(recording)
            elif recording.writer is not None:
                recording.writer.close()
                recording.writer = None
        await self._stop()
        await self._start()
        for recording in self.recordings:
            await self._finish_one(recording)
        await self._watch()
        for recording in self.recordings:
            await self._judge(recording)
        await self._stop()

    async def _finish_one(self, recording: Recording) -> None:
        assert self.uploader is not None
        try:
            async with asyncio.timeout(FINISH_S_MAX):
                recording.stored = await self.uploader.finish(recording.id)
        except TimeoutError as error:
            stuck = self.uploader.troubles().get(recording.id)
            raise BrokenInvariantError(f"an upload does not end though the store is well: {stuck}") from error
        except BystanderError as error:
            recording.error = error.code
            if error.code == "upload_defect":
                raise BrokenInvariantError(f"a defect: {error.__cause__!r}") from error
        self.checked["every upload ends, or says why not"] += 1
        stored = recording.stored
        self.outcomes[recording.error or (str(stored.proof) if stored else "none")] += 1

    async def _watch(self) -> None:
        """An object of a recording never becomes shorter."""
        for recording in self.recordings:
            try:
                info = await self.store.inner.head(recording.key)
            except BystanderError:
                if recording.longest:
                    raise BrokenInvariantError("an object vanished") from None
                continue
            lying = self.ever & {"shortened", "stale"}  # it kept less itself, or said that nothing was there
            if info.size < recording.longest and not lying:
                raise BrokenInvariantError(f"an object of {recording.longest} bytes became {info.size}")
            if dict(info.metadata).get(RECORDING_MARK) == recording.id and not self.store.lies.shortened:
                recording.longest = max(recording.longest, info.size)
            self.checked["an object never becomes shorter"] += 1

    async def _judge(self, recording: Recording) -> None:
        data = await self._object(recording)
        held = await asyncio.to_thread(self._everything_kept, recording)
        media = [(n, f) for n, f in enumerate(recording.fragments) if n > 0]
        absent = [n for n, fragment in media if fragment.data not in data]
        for n, fragment in media:
            if n in absent and n not in recording.excused and fragment.data not in held:
                raise BrokenInvariantError(f"fragment {n} of {len(media)} is lost; {self._said(recording)}")
            self.checked["acknowledged fragments are somewhere"] += 1
        if recording.stored is not None:
            self._judge_stored(recording, data, absent)
            await self._judge_events(recording)
            await self._judge_leftovers(recording)
        self.checked["recordings judged"] += 1

    def _judge_stored(self, recording: Recording, data: bytes, absent: list[int]) -> None:
        stored = recording.stored
        assert stored is not None
        if len(data) != stored.size:
            raise BrokenInvariantError(f"{stored.size} bytes were told of an object of {len(data)}")
        known = [n for n in absent if recording.past_from is None or n < recording.past_from]
        if stored.is_whole and known and not self._adopted(recording):
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

    def _adopted(self, recording: Recording) -> bool:
        """Where the file itself is the object its fragments are not read again: damage is not noticed
        there."""
        return self.store.adoption is not None

    async def _judge_events(self, recording: Recording) -> None:
        info = await self.store.inner.head(events_key(recording.key))
        chunks = [chunk async for chunk in self.store.inner.read(info.key, 0, info.size)] if info.size else []
        lines = b"".join(chunks)
        wanted = b"".join(recording.events)
        if not recording.events_hit and lines != wanted:
            raise BrokenInvariantError(f"{len(lines)} bytes of events, not {len(wanted)}")
        self.checked["events are stored"] += 1

    async def _judge_leftovers(self, recording: Recording) -> None:
        inner = self.store.inner
        dangling = [upload.id async for upload in inner.uploads.list_uploads(recording.key)]
        beside = [info.key async for info in inner.list_objects(f"_bystander/uploads/{recording.id}/")]
        if beside or dangling:
            raise BrokenInvariantError(f"left beside a stored recording: {beside or dangling}")
        self.checked["nothing is left beside"] += 1

    async def _object(self, recording: Recording) -> bytes:
        try:
            info = await self.store.inner.head(recording.key)
        except BystanderError:
            return b""
        return b"".join([chunk async for chunk in self.store.inner.read(recording.key, 0, info.size)])

    def _everything_kept(self, recording: Recording) -> bytes:
        """All that a person could still find of it on the disks."""
        places = [self.root / node / sub for node in ("first", "other") for sub in (recording.id, ".damaged")]
        files = [path for place in places if place.is_dir() for path in place.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)

    def _kept_aside(self, recording: Recording) -> bool:
        return (self.spools / recording.id / "aside").is_dir()

    def _said(self, recording: Recording) -> str:
        return f"said: {recording.error or recording.stored}; steps: {self.trace}"


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))


@dataclass
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int, str]] = field(default_factory=list)
    requests: int = 0


def memory(_: Path, chance: random.Random) -> ObjectStore:
    faults = Faults(part_size_bytes_min=1, replaces_parts=chance.random() < 0.5)
    return MemoryStore(chance.randrange(10**6), faults)


def directory(root: Path, chance: random.Random) -> ObjectStore:
    """On the spools' disk, so that files are taken over."""
    return LocalStore(root / "objects")


class Elsewhere(LocalStore):
    """A directory that cannot take files over."""

    async def can_adopt(self, file: Path) -> bool:
        return False


STORES: dict[str, Callable[[Path, random.Random], ObjectStore]] = {
    "memory": memory,
    "directory": directory,
    "directory elsewhere": lambda root, chance: Elsewhere(root / "objects"),
}


def play(seed: int, make: Callable[[Path, random.Random], ObjectStore], tally: Tally) -> None:
    """One seed; what broke is in the tally."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", ignore_cleanup_errors=True) as name:
        root = Path(name)
        asyncio.run(_played(seed, make, root, tally))


async def _played(
    seed: int, make: Callable[[Path, random.Random], ObjectStore], root: Path, tally: Tally
) -> None:
    adversary = Adversary(seed, make(root, random.Random(f"store {seed}")), root)
    try:
        await adversary.run()
    except BrokenInvariantError as error:
        tally.broken.append((seed, f"{error}; {adversary.trace}"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        tally.broken.append((seed, f"{error!r}; {adversary.trace}"))
    finally:
        await adversary._stop()
        await adversary.store.close()
        for recording in adversary.recordings:
            if recording.writer is not None:
                recording.writer.close()
    tally.seeds += 1
    tally.checked += adversary.checked
    tally.outcomes += adversary.outcomes
    tally.requests += adversary.store.requests


def report(store: str, tally: Tally, seconds: float) -> str:
    """The table of what many seeds came to."""
    lines = [f"{store}: {tally.seeds} seeds, {tally.requests} requests, {seconds:.0f} s"]
    lines += [f"  {number:>9}  {name}" for name, number in sorted(tally.checked.items())]
    lines += [f"  {number:>9}  -> {name}" for name, number in tally.outcomes.most_common()]
    lines += [f"BROKEN {seed}: {what[:600]}" for seed, what in tally.broken]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Play seeds and write what they came to."""
    store, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    tally, began_s = Tally(), time.monotonic()
    for seed in range(first, first + count):
        play(seed, STORES[store], tally)
    sys.stdout.write(report(store, tally, time.monotonic() - began_s) + "\n")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(main(sys.argv[1:]))
