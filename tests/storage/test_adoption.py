"""A directory takes the recorded file over with a longer head, uncopied; who reads does not notice."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from recorder.kernel.recording import EndReason
from storage.finalise.hard_link import finished_media
from storage.spool import IndexEntry, SpoolReader, SpoolWriter
from storage.spool import format as form
from storage.spool import insert_range as moving
from storage.spool.durable_files import write_atomic, write_fully
from storage.spool.part_bytes import FinaliseInit
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import sequence

SIZES = (70_000, 300_000, 1_234)
FRAGMENTS = sequence(*SIZES)
RECORDED = b"".join(fragment.data for fragment in FRAGMENTS)
INIT_BYTES = len(FRAGMENTS[0].data)
GROWTH = 2 * moving.STEP_BYTES


def fill(init: bytes, entries: Sequence[IndexEntry]) -> bytes:
    """Says in the head where the first fragment stands."""
    return init[:100].ljust(len(init) - 8, b"i") + entries[1].offset.to_bytes(8, "big")


def grow(init: bytes, entries: Sequence[IndexEntry]) -> bytes:
    return init.ljust(len(init) + GROWTH - 100, b"g")


@pytest.fixture
def reader(root: Path) -> Iterator[SpoolReader]:
    writer = SpoolWriter.create(root, facts())
    for fragment in FRAGMENTS:
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    reader = SpoolReader.open(root, RECORDING)
    yield reader
    reader.close()


@pytest.fixture
def can_move(root: Path, tmp_path: Path) -> None:
    trial = os.open(tmp_path / "trial", os.O_RDWR | os.O_CREAT)
    try:
        os.write(trial, bytes(moving.STEP_BYTES))
        moving.move(trial, moving.STEP_BYTES)
    except OSError:
        pytest.skip("this file system makes no room inside a file")
    finally:
        os.close(trial)


STEPS = (
    "storage.spool.insert_range.os.setxattr",
    "storage.spool.insert_range._fallocate",
    "storage.finalise.hard_link.os.ftruncate",
    "storage.finalise.hard_link.write_fully",
    "storage.finalise.hard_link.os.fsync",
)


def refuse(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def expected(growth: int) -> bytes:
    head = FRAGMENTS[0].data + form_free(growth)
    moved = [IndexEntry(FRAGMENTS[1].kind, INIT_BYTES + growth, 1, 0, 0, 0)] * 2
    return fill(head, moved) + RECORDED[INIT_BYTES:]


def form_free(length: int) -> bytes:
    return length.to_bytes(4, "big") + b"free" + bytes(length - 8) if length else b""


def finish(reader: SpoolReader, grown: FinaliseInit | None = grow) -> bytes:
    return finished_media(reader, reader.index(), fill, grown).read_bytes()


@pytest.mark.usefixtures("can_move")
def test_the_file_itself_gets_a_longer_head(reader: SpoolReader) -> None:
    inode = (reader.directory / form.MEDIA).stat().st_ino
    path = finished_media(reader, reader.index(), fill, grow)
    assert path.stat().st_ino == inode
    assert path.read_bytes() == expected(GROWTH)
    assert finish(reader) == expected(GROWTH)  # repeated, as after a crash


def test_a_head_that_need_not_grow_stays_as_long(reader: SpoolReader) -> None:
    assert finish(reader, lambda init, _: init) == expected(0)
    assert finish(reader, None) == expected(0)


@pytest.mark.usefixtures("can_move")
def test_readers_see_what_was_recorded_before_while_and_after(reader: SpoolReader, root: Path) -> None:
    other = SpoolReader.open(root, RECORDING)
    assert other.read(0, len(RECORDED)) == RECORDED
    finish(reader)
    for path in reader.directory.iterdir():
        if path.name != form.FACTS:
            path.unlink()
    for each in (reader, other):
        for start, stop in (
            (0, len(RECORDED)),
            (10, 200),
            (INIT_BYTES - 5, INIT_BYTES + 5),
            (80_000, 80_001),
        ):
            assert each.read(start, stop) == RECORDED[start:stop]
        assert each.read_checked(each.index()) == (RECORDED, [])
    other.close()


@pytest.mark.usefixtures("can_move")
def test_whoever_reads_all_the_time_never_sees_a_moved_byte(reader: SpoolReader, root: Path) -> None:
    seen: list[bool] = []
    over = threading.Event()

    def read() -> None:
        other = SpoolReader.open(root, RECORDING)
        while not over.is_set() or len(seen) < 2:
            seen.append(other.read(0, len(RECORDED)) == RECORDED)
        other.close()

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        finish(reader)
        media = os.open(reader.directory / form.MEDIA, os.O_RDWR)
        with moving.moving(media):
            moving.move_back(media)
            os.pwrite(media, RECORDED[:INIT_BYTES], 0)
        os.close(media)
    over.set()
    thread.join()
    assert all(seen)


@pytest.mark.usefixtures("can_move")
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_gone_on_from(
    reader: SpoolReader, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class CrashError(BaseException):
        pass

    def crash(*_: object) -> None:
        raise CrashError

    head = reader.directory / form.HEAD
    with monkeypatch.context() as patched:
        patched.setattr("storage.finalise.hard_link.write_atomic", written_then(patched, step, crash))
        with pytest.raises(CrashError):
            finish(reader)
    assert head.exists()
    assert finish(reader) == expected(GROWTH)


def written_then(
    patched: pytest.MonkeyPatch, step: str, crash: Callable[..., None]
) -> Callable[[Path, bytes], None]:
    """Write small files as ever; once the head is written, the next `step` is the last thing that happens."""

    def writing(path: Path, data: bytes) -> None:
        write_atomic(path, data)
        if path.name == form.HEAD:
            patched.setattr(step, crash)

    return writing


def test_a_file_system_that_cannot_gets_a_copy(reader: SpoolReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_fallocate", refuse)
    assert finish(reader) == expected(GROWTH)
    assert reader.read(0, len(RECORDED)) == RECORDED


def test_on_a_full_disk_there_are_durations(reader: SpoolReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_fallocate", refuse)
    monkeypatch.setattr("storage.finalise.hard_link.os.copy_file_range", full)
    assert finish(reader) == expected(0)
    assert not (reader.directory / "whole.new").exists()


@pytest.mark.usefixtures("can_move")
def test_a_disk_that_is_full_once_the_room_is_made_gets_it_back(
    reader: SpoolReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_room(fd: int, data: bytes, offset: int) -> None:
        write_fully(fd, data[: len(data) // 2], offset)
        if len(data) > INIT_BYTES:
            raise OSError(28, "No space left on device")
        write_fully(fd, data, offset)

    monkeypatch.setattr("storage.finalise.hard_link.write_fully", without_room)
    monkeypatch.setattr("storage.finalise.hard_link.os.copy_file_range", full)
    assert finish(reader) == expected(0)


@pytest.mark.usefixtures("can_move")
def test_a_spool_of_before_there_was_a_second_copy(reader: SpoolReader, root: Path) -> None:
    (reader.directory / form.INIT).unlink()
    old = SpoolReader.open(root, RECORDING)
    assert finish(old) == expected(GROWTH)
    assert old.read_checked(old.index()) == (RECORDED, [])
    old.close()
