"""Damage to spools, and what nobody can be asked for after it."""

import shutil
from contextlib import suppress
from pathlib import Path

from tests.faults.recorded import Recording
from tests.faults.world import World

SMALL_FILES = ("facts.json", "facts.copy", "end.json", "end.copy", "upload.json", "upload.copy", "init")


class Damage(World):
    """The steps that damage files of spools."""

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
        if self.adopts:  # the file is the object, moved by a longer head
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
        if self.adopts:
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
        recording.small_damage[path.stem] += 1
        self.trace.append(f"{how} {path.name}")
        with suppress(OSError):  # the disk is full
            self._damage(path, data, how)

    def _damage(self, path: Path, data: bytes, how: str) -> None:
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
        if recording.snapshot is None or self.disk_is_full:
            return
        await self._stop()
        self._die(recording)
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


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
