"""A seeded adversary of storage: damages files, lets stores lie, breaks links, kills, fills disks, restores
the past; and an oracle that judges.

    python -m tests.faults.adversary memory 0 100      # the seeds from 0 on, on one store; prints what broke

One seed is one program: it draws a store's manner, settings, and some thirty steps. In the end the store
becomes well (or stays a liar), the server starts once more, and every recording is finished. Then the
oracle compares all bytes that the writer was told are safe with what can be read, and what was said of the
recording with the truth. Stores are those of tests/faults/places.py; a real one is reached over a link that
breaks. What takes real time is not drawn: on those a seed is a program, not yet an order of events.
"""

import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError
from tests.faults import killed, link
from tests.faults.damage import Damage
from tests.faults.lying_store import Lies
from tests.faults.oracle import BrokenInvariantError
from tests.faults.places import PLACES, Place
from tests.faults.recorded import Recording
from tests.faults.small_disk import fill, small_disk
from tests.faults.world import BALLAST, SETTINGS

STEPS = 30
CONFIGURED = ((0, 1), (1, 0))  # stores, the default first
FINISH_S_MAX, REAL_FINISH_S_MAX = 20.0, 90.0  # of real time, with waits that take none
KILLED_AFTER_S_MAX = 0.2

# A store that acknowledges and does not keep, or keeps something else, can be told nothing: signs of life,
# too.
UNKEPT = {"forgotten", "flipped", "shortened"}
Step = tuple[str, int, Callable[[], Awaitable[None]]]


@dataclass(frozen=True)
class Terms:
    """What a program may draw from. Not `wide`, a seed is the program that it ever was."""

    wide: bool = True
    kills: bool = True  # of real processes, which take a second to begin the first of them


WIDE = Terms()


class Adversary(Damage):
    """One seed's program."""

    def __init__(self, seed: int, place: Place, root: Path, disk: Path | None, terms: Terms) -> None:
        """`disk` is a small one, for the spools; None: `root` has them."""
        adopts = place.adopts if terms.wide else place.stores[0].adoption is not None
        super().__init__(seed, place, root, disk or root, adopts=adopts)
        self.terms = terms
        self._ballast = None if disk is None else disk / BALLAST

    # --- the program -----------------------------------------------------------------------------------
    async def run(self) -> None:
        self._draw_manner()
        if self.terms.wide:
            self._draw_homes()
        for recording in self.recordings:
            self._create(recording)
        await self._start()
        for recording in self.recordings:
            self._append(recording)
        steps = [*self._steps(), *(self._more_steps() if self.terms.wide else ())]
        for _ in range(STEPS):
            name, step = self.chance.choices([(n, s) for n, _, s in steps], [w for _, w, _ in steps])[0]
            self.trace.append(name)
            await step()
            await self._watch()
        await self._finish()

    def _draw_manner(self) -> None:
        container = self.chance.choice(("fmp4", "fmp4", "mp4"))
        tail_s = self.chance.choice((0.0, 10.0, 10.0))
        self.settings = msgspec.structs.replace(SETTINGS, container=container, tail_interval_s=tail_s)
        self.store.lies.opaque_tags = self.chance.random() < 0.2

    def _draw_homes(self) -> None:
        """In one world of three there are two stores, and the settings name either as the default."""
        if not self.place.second or self.chance.random() > 1 / 3:
            return
        self.configured = self.chance.choice(CONFIGURED)
        for recording in self.recordings:
            recording.home = self.chance.randrange(2)

    def _steps(self) -> list[Step]:
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

    def _more_steps(self) -> list[Step]:
        """What not every place has."""
        steps: list[Step] = []
        if self.place.link is not None:
            steps.append(("link", 5, self.the_link_breaks))
        if self.place.settings and self.terms.kills:
            steps.append(("killed", 1, self.a_shipping_process_is_killed))
        if self._ballast is not None:
            steps += [("disk full", 1, self.the_disk_is_full), ("disk has room", 1, self.the_disk_has_room)]
        if not self.adopts:
            steps.append(("other takes over", 2, self.the_other_takes_over))
        if self.place.server is not None:
            steps.append(("store killed", 1, self.the_store_is_killed))
        if len(self.configured) > 1:
            steps.append(("other stores", 2, self.the_server_starts_with_other_stores))
        if len(self.place.stores) > 1:
            steps.append(("store settings", 1, self.the_server_starts_with_another_way_to_the_store))
        return steps

    # --- servers ---------------------------------------------------------------------------------------
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

    async def the_server_starts_with_another_way_to_the_store(self) -> None:
        """With digests in its requests, or without."""
        await self._stop()
        self.store.inner = self.chance.choice(self.place.stores)
        await self._start()

    async def the_server_starts_with_other_stores(self) -> None:
        """Another one is the default, or one is gone from the settings for a while."""
        await self._stop()
        self.configured = self.chance.choice((*CONFIGURED, (0,), (1,)))
        await self._start()
        await self.pass_time()

    async def time_passes(self) -> None:
        self.clock.advance(self.chance.choice((2, 11, 60)))
        await self.pass_time()

    async def another_node_looks(self) -> None:
        if self.adopts:
            return
        other = self._node("other")
        with suppress(BystanderError):
            survey = await other.survey()
            if survey.restored and not self.ever & UNKEPT:
                raise BrokenInvariantError("another node took what a living one works on")
            self.oracle.checked["a living node keeps what it has"] += 1
        await other.close()

    async def the_other_takes_over(self) -> None:
        """Its node is silent for long, another goes on with what lies in the bucket, and then it is back."""
        await self._stop()
        self.clock.advance(self.settings.takeover_after_s * 2)
        other = self._node("other")
        with suppress(BystanderError):
            survey = await other.survey()
            for _ in range(self.chance.randrange(8)):
                await self._breathe()
            finishing = self.chance.random() < 0.5
            for recording in self.recordings if finishing else ():
                if recording.id not in survey.restored:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5 if self.place.real else 0.05):
                        await other.finish(recording)
        await other.close()
        if self.chance.random() < 0.7:  # the other is lost in its turn
            self.clock.advance(self.settings.takeover_after_s * 2)
        await self._start()
        await self.pass_time()

    async def a_shipping_process_is_killed(self) -> None:
        """kill -9 at any instant, over the link and to the store itself; then a server starts again."""
        await self._stop()
        orders = killed.Orders(
            stores=self.place.settings,
            root=self.spools,
            node=self._node_settings(self.node_name),
            age_s=self.clock.monotonic_ns() / 1e9,
        )
        process = await asyncio.to_thread(killed.shipping, orders)
        try:
            await asyncio.sleep(self.chance.uniform(0.0, KILLED_AFTER_S_MAX))
        finally:
            process.kill()
            await asyncio.to_thread(process.join)
        await self._start()
        await self.pass_time()

    # --- the disk --------------------------------------------------------------------------------------
    async def the_disk_is_full(self) -> None:
        assert self._ballast is not None
        await asyncio.to_thread(fill, self._ballast)
        await self.pass_time()

    async def the_disk_has_room(self) -> None:
        if self._ballast is not None:
            self._ballast.unlink(missing_ok=True)

    # --- recording -------------------------------------------------------------------------------------
    async def append(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self._append(self._one())
        await self.pass_time()

    async def event(self) -> None:
        recording = self._one()
        if recording.writer is not None:
            line = b'{"n":%d}' % len(recording.events)
            try:
                recording.writer.append_event(line)
            except BystanderError:  # the disk is full
                return
            recording.events.append(line + b"\n")

    async def a_writer_dies(self) -> None:
        self._die(self._one())

    async def a_recording_ends(self) -> None:
        self._end(self._one())

    async def one_is_finished_early(self) -> None:
        recording = self._one()
        if recording.writer is None and self.node is not None:
            with suppress(BystanderError, TimeoutError):
                async with asyncio.timeout(0.05):
                    recording.stored = await self.node.finish(recording)

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

    async def the_link_breaks(self) -> None:
        assert self.place.link is not None
        self.place.link.faults = link.drawn(self.chance)
        self.ever |= link.told(self.place.link.faults)
        self.trace.append(repr(self.place.link.faults))
        await self.pass_time()

    def _heal(self) -> None:
        lies = Lies(opaque_tags=self.store.lies.opaque_tags)
        for door in self.doors:
            door.lies = lies
        if self.place.link is not None:
            self.place.link.faults = link.LinkFaults()

    async def the_store_is_killed(self) -> None:
        """And comes back without the uploads that it had."""
        assert self.place.server is not None
        self.place.server.kill()
        await self.pass_time()
        await asyncio.to_thread(self.place.server.start)
        self._uploads_are_gone()

    async def the_bucket_aborts_uploads(self) -> None:
        for truth in self.place.truths:
            for upload in [upload async for upload in truth.uploads.list_uploads()]:
                await truth.uploads.abort(upload)
        self._uploads_are_gone()

    def _uploads_are_gone(self) -> None:
        for recording in self.recordings:
            if recording.small_damage or recording.excused:
                recording.excused |= set(range(len(recording.fragments)))

    # --- the end ---------------------------------------------------------------------------------------
    async def _finish(self) -> None:
        self._heal()
        await self.the_disk_has_room()
        for recording in self.recordings:
            if self.chance.random() < 0.7:
                self._end(recording)
            else:
                self._die(recording)
        await self._stop()
        if len(self.configured) > 1 or any(recording.home for recording in self.recordings):
            self.configured = CONFIGURED[0]
        if self.terms.wide:
            self.clock.advance(self.settings.takeover_after_s * 2)  # whoever else took something up is lost
        await self._start()
        await self._finish_all()
        await self._watch()
        for recording in self.recordings:
            await self.oracle.judge(recording)
        assert self.node is not None
        await self.oracle.judge_states(self.node, self.recordings, self.spools)
        await self._finish_again()
        await self._stop()

    async def _finish_all(self) -> None:
        for recording in self.recordings:
            await self._finish_one(recording)

    async def _finish_again(self) -> None:
        """A server that starts once more finds nothing to do."""
        before = {recording.id: (recording.stored, recording.error) for recording in self.recordings}
        await self._stop()
        await self._start()
        await self._finish_all()
        for recording in self.recordings:
            self.oracle.judge_again(recording, before[recording.id])

    async def _finish_one(self, recording: Recording) -> None:
        assert self.node is not None
        recording.error = None
        try:
            async with asyncio.timeout(REAL_FINISH_S_MAX if self.place.real else FINISH_S_MAX):
                recording.stored = await self.node.finish(recording)
        except TimeoutError as error:
            stuck = self.node.troubles().get(recording.id)
            raise BrokenInvariantError(f"an upload does not end though the store is well: {stuck}") from error
        except BystanderError as error:
            recording.error = error.code
            if error.code == "upload_defect":
                raise BrokenInvariantError(f"a defect: {error.__cause__!r}") from error
        self.oracle.checked["every upload ends, or says why not"] += 1
        stored = recording.stored
        self.oracle.outcomes[recording.error or (str(stored.proof) if stored else "none")] += 1

    async def _watch(self) -> None:
        lying = bool(self.ever & {"shortened", "stale"})  # it kept less, or said that nothing was there
        for recording in self.recordings:
            await self.oracle.watch(recording, lying=lying, shortens=self.store.lies.shortened > 0)


@dataclass
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int, str]] = field(default_factory=list)
    requests: int = 0


async def play(store: str, seeds: Iterable[int], tally: Tally, terms: Terms = WIDE) -> None:
    """The seeds, one after the other, on one store; what broke is in the tally."""
    with small_disk() as disk:
        async with PLACES[store]() as places:
            for seed in seeds:
                with tempfile.TemporaryDirectory(dir="/dev/shm", ignore_cleanup_errors=True) as root:
                    spools = None if disk is None or not terms.wide else disk / f"seed-{seed}"
                    if spools is not None:
                        spools.mkdir()
                    place = await places.for_seed(Path(root), spools or Path(root), seed)
                    try:
                        await _played(Adversary(seed, place, Path(root), spools, terms), tally)
                    finally:
                        if spools is not None:
                            shutil.rmtree(spools)


async def _played(adversary: Adversary, tally: Tally) -> None:
    try:
        await adversary.run()
    except BrokenInvariantError as error:
        tally.broken.append((adversary.seed, f"{error}; {adversary.trace}"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        tally.broken.append((adversary.seed, f"{error!r}; {adversary.trace}"))
    finally:
        await adversary._stop()
        if not adversary.place.real:
            for door in adversary.doors:
                await door.close()
        for recording in adversary.recordings:
            adversary._die(recording)
    tally.seeds += 1
    tally.checked += adversary.oracle.checked
    tally.outcomes += adversary.oracle.outcomes
    tally.requests += adversary.requests
    known = {name for name, _, _ in [*adversary._steps(), *adversary._more_steps()]}
    tally.steps += Counter(step for step in adversary.trace if step in known)


def report(store: str, tally: Tally, seconds: float) -> str:
    """The table of what many seeds came to."""
    lines = [f"{store}: {tally.seeds} seeds, {tally.requests} requests, {seconds:.0f} s"]
    lines += [f"  {number:>9}  {name}" for name, number in sorted(tally.checked.items())]
    lines += [f"  {number:>9}  -> {name}" for name, number in tally.outcomes.most_common()]
    lines += [f"  {number:>9}  step: {name}" for name, number in tally.steps.most_common()]
    lines += [f"BROKEN {seed}: {what[:600]}" for seed, what in tally.broken]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Play seeds and write what they came to."""
    store, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    tally, began_s = Tally(), time.monotonic()
    asyncio.run(play(store, range(first, first + count), tally))
    sys.stdout.write(report(store, tally, time.monotonic() - began_s) + "\n")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(main(sys.argv[1:]))
