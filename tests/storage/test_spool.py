"""The spool in ordinary use: what is written is read back, beside the writer and after it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import FRAGMENT_BYTES_MAX
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.spool import SpoolReader, SpoolWriter, seal, spooled_recordings
from storage.spool import format as form
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import init, media, sequence

Create = Callable[..., SpoolWriter]


def test_a_reader_sees_what_was_appended_while_the_writer_goes_on(create: Create, root: Path) -> None:
    writer = create()
    reader = SpoolReader.open(root, RECORDING)
    assert (reader.size, reader.index(), reader.ending) == (0, [], None)

    first, *rest = sequence(5000, 1, 70_000)
    writer.append(first)
    assert reader.size == len(first.data)
    for fragment in rest:
        writer.append(fragment)

    assert [entry.kind for entry in reader.index()] == [FragmentKind.INIT] + [FragmentKind.MEDIA] * 3
    assert reader.read(0, reader.size) == b"".join(f.data for f in (first, *rest))
    assert reader.read(1020, 1030) == first.data[1020:] + rest[0].data[:6]
    assert reader.read(reader.size - 1, reader.size + 99) == rest[-1].data[-1:]
    assert reader.facts == facts()
    reader.close()


def test_the_ending_is_told_once_and_stays(create: Create, root: Path) -> None:
    writer = create()
    for fragment in sequence(10, 20):
        writer.append(fragment)
    writer.append_event('{"kind":"ended"}')
    ending = writer.end(EndReason.NORMAL, None, 4_000_000)
    writer.end(EndReason.ABORT_SYSTEM, "late", 0)
    writer.close()

    reader = SpoolReader.open(root, RECORDING)
    assert reader.ending == ending
    assert (ending.reason, ending.bytes, ending.fragments) == (EndReason.NORMAL, 1024 + 30, 3)
    assert reader.events() == b'{"kind":"ended"}\n'
    assert not (root / RECORDING / form.END_RESERVE).exists()
    reader.close()
    with pytest.raises(ValueError, match="ended"):
        writer.append(media(3, 1))


def test_fragments_that_make_no_recording_are_refused(create: Create) -> None:
    writer = create()
    with pytest.raises(ValueError, match="init segment"):
        writer.append(media(1, 10))
    writer.append(init())
    with pytest.raises(ValueError, match="init segment"):
        writer.append(init())
    with pytest.raises(ValueError, match="bytes"):
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=b""))
    with pytest.raises(ValueError, match="bytes"):
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=bytes(FRAGMENT_BYTES_MAX + 1)))
    writer.append(Fragment(kind=FragmentKind.MEDIA, data=bytes(FRAGMENT_BYTES_MAX)))


def test_one_spool_for_each_recording(create: Create, root: Path) -> None:
    create("rec_b")
    create("rec_a")
    assert spooled_recordings(root) == ["rec_a", "rec_b"]
    with pytest.raises(BystanderError) as caught:
        create("rec_a")
    assert caught.value.code == "spool_exists"
    with pytest.raises(BystanderError) as caught:
        SpoolReader.open(root, "rec_c")
    assert caught.value.code == "spool_missing"


@pytest.mark.parametrize("recording", ["", "..", "a/b", ".hidden", "x" * 65])
def test_a_recording_cannot_name_another_directory(root: Path, recording: str) -> None:
    with pytest.raises(BystanderError) as caught:
        SpoolReader.open(root, recording)
    assert caught.value.code == "recording_id_invalid"


def test_a_dead_writer_is_told_from_a_living_one(create: Create, root: Path) -> None:
    writer = create()
    for fragment in sequence(10, 20):
        writer.append(fragment)
    reader = SpoolReader.open(root, RECORDING)
    assert reader.writer_lives()
    with pytest.raises(BystanderError) as caught:
        seal(root, RECORDING, EndReason.ABORT_UNEXPECTED, "worker_died")
    assert caught.value.code == "spool_in_use"

    writer.close()
    assert not reader.writer_lives()
    ending = seal(root, RECORDING, EndReason.ABORT_UNEXPECTED, "worker_died")
    assert (ending.failure, ending.duration_us, ending.bytes) == ("worker_died", 4_000_000, 1054)
    assert seal(root, RECORDING, EndReason.ABORT_SYSTEM, "again") == ending
    reader.close()


def test_damage_is_found_by_the_checksum_of_the_fragment(create: Create, root: Path) -> None:
    writer = create()
    for fragment in sequence(100, 200, 300):
        writer.append(fragment)
    with (root / RECORDING / form.MEDIA).open("r+b") as file:
        file.seek(1024 + 100 + 7)
        file.write(b"\xff\x00\xff")
    reader = SpoolReader.open(root, RECORDING)
    data, damaged = reader.read_checked(reader.index()[1:])
    assert len(data) == 600
    assert damaged == [reader.index()[2]]
    reader.close()
