"""Whatever a crash leaves of the files, the longest prefix of whole fragments is found and continued."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.spool import SpoolReader, SpoolWriter, seal
from storage.spool import format as form
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import FRAGMENT_US, init, media


class CrashingSpool(RuleBasedStateMachine):
    """The model is the list of fragments that must be there."""

    @initialize()
    def make(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.root = Path(self._directory.name)
        self.writer = SpoolWriter.create(self.root, facts())
        self.reader = SpoolReader.open(self.root, RECORDING)
        self.model: list[Fragment] = []
        self.damaged: int | None = None  # whose record is damaged, with sound ones behind it

    @rule(size=st.integers(1, 300))
    def append(self, size: int) -> None:
        fragment = media(len(self.model), size) if self.model else init(size)
        self.writer.append(fragment)
        self.model.append(fragment)

    @rule(data=st.data())
    def crash_leaving_some_media(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(0, self._size))
        self._crash(form.MEDIA, kept)
        whole, at = 0, 0
        for fragment in self.model:
            at += len(fragment.data)
            whole += at <= kept
        self._go_on(whole)

    @rule(data=st.data())
    def crash_leaving_some_index(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(0, len(self.model) * form.RECORD_BYTES))
        self._crash(form.INDEX, kept)
        self._go_on(kept // form.RECORD_BYTES)

    @rule(garbage=st.binary(min_size=1, max_size=100), file=st.sampled_from([form.MEDIA, form.INDEX]))
    def crash_in_mid_append(self, garbage: bytes, file: str) -> None:
        self.writer.close()
        with (self.root / RECORDING / file).open("ab") as torn:
            torn.write(garbage)
        self._go_on(len(self.model))

    @precondition(lambda self: self.model and self.damaged is None)
    @rule(data=st.data())
    def crash_with_a_flipped_bit_in_the_index(self, data: st.DataObject) -> None:
        bit = data.draw(st.integers(0, len(self.model) * form.RECORD_BYTES * 8 - 1))
        self.writer.close()
        path = self.root / RECORDING / form.INDEX
        index = bytearray(path.read_bytes())
        index[bit // 8] ^= 1 << bit % 8
        path.write_bytes(index)
        self.damaged = bit // 8 // form.RECORD_BYTES
        self._go_on(len(self.model))

    @invariant()
    def what_must_be_there_is_there(self) -> None:
        if not hasattr(self, "reader"):
            return
        entries = self.reader.index()
        assert self.reader.read(0, self._size + 1) == b"".join(fragment.data for fragment in self.model)
        assert [(e.kind, e.length, e.start_us) for e in entries] == [
            (f.kind, len(f.data), f.start_us) for f in self.model
        ]
        unknown = [] if self.damaged is None else [entries[self.damaged]]
        assert not entries or self.reader.read_checked(entries)[1] == unknown
        assert (self.writer.size, self.writer.fragments) == (self._size, len(self.model))

    def teardown(self) -> None:
        if hasattr(self, "reader"):
            self.reader.close()
            self.writer.close()
            self._directory.cleanup()

    @property
    def _size(self) -> int:
        return sum(len(fragment.data) for fragment in self.model)

    def _crash(self, file: str, kept: int) -> None:
        self.writer.close()
        os.truncate(self.root / RECORDING / file, kept)

    def _go_on(self, whole: int) -> None:
        if self.damaged is not None and whole <= self.damaged + 1:
            whole, self.damaged = min(whole, self.damaged), None
        del self.model[whole:]
        self.reader.close()
        self.reader = SpoolReader.open(self.root, RECORDING)
        before = [entry.length for entry in self.reader.index()]
        assert before == [len(fragment.data) for fragment in self.model]
        self.writer = SpoolWriter.resume(self.root, RECORDING)


CrashingSpool.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestCrashingSpool = CrashingSpool.TestCase


def test_a_fragment_is_durable_before_its_record_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter.create(root, facts())
    names = {writer._media: "media", writer._index: "index"}
    calls: list[tuple[str, str]] = []
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def seen_pwrite(fd: int, data: bytes, offset: int) -> int:
        calls.append(("write", names.get(fd, "init")))
        return pwrite(fd, data, offset)

    def seen_fdatasync(fd: int) -> None:
        calls.append(("sync", names[fd]))
        fdatasync(fd)

    monkeypatch.setattr(os, "pwrite", seen_pwrite)
    monkeypatch.setattr(os, "fdatasync", seen_fdatasync)
    writer.append(init())
    assert calls == [
        ("write", "init"),  # the second copy, replaced atomically
        ("write", "media"),
        ("sync", "media"),
        ("write", "index"),
        ("sync", "index"),
    ]
    writer.close()


def test_the_media_is_not_looked_at_to_find_what_is_whole(root: Path) -> None:
    writer = SpoolWriter.create(root, facts())
    for number in range(4):
        writer.append(media(number, 1000) if number else init())
    writer.close()
    path = root / RECORDING / form.MEDIA
    path.write_bytes(b"")
    os.truncate(path, 1024 + 3000)  # a hole: reading it would give zeros
    reader = SpoolReader.open(root, RECORDING)
    assert len(reader.index()) == 4
    assert len(reader.read_checked(reader.index())[1]) == 3  # the init segment is there twice
    reader.close()


def boxes(number: int, size: int) -> Fragment:
    """A fragment that is a box, as all real ones are."""
    data = size.to_bytes(4, "big") + b"mdat" + bytes(size - 8)
    kind = FragmentKind.MEDIA if number else FragmentKind.INIT
    start_us = max(0, number - 1) * FRAGMENT_US
    return Fragment(kind=kind, data=data, start_us=start_us, duration_us=FRAGMENT_US if number else 0)


@pytest.mark.parametrize("damaged", [range(1), range(2, 3), range(1, 4), range(5, 7)])
def test_damaged_records_cost_nothing_when_a_sound_one_follows(root: Path, damaged: range) -> None:
    writer = SpoolWriter.create(root, facts())
    for number in range(8):
        writer.append(boxes(number, 100 + number))
    writer.close()
    path = root / RECORDING / form.INDEX
    index = bytearray(path.read_bytes())
    for number in damaged:
        index[number * form.RECORD_BYTES + 9] ^= 0x10
    path.write_bytes(index)
    ending = seal(root, RECORDING, EndReason.ABORT_UNEXPECTED, "worker_died")
    reader = SpoolReader.open(root, RECORDING)
    entries = reader.index()
    assert ending.bytes == reader.size == sum(100 + number for number in range(8))
    assert len(entries) == 8 - len(damaged) + 1
    assert [e.start_us + e.duration_us for e in entries[:-1]] == [e.start_us for e in entries[1:]]
    assert reader.read_checked(entries)[1] == []
    os.pwrite(os.open(root / RECORDING / form.MEDIA, os.O_WRONLY), b"\0\0\0\1", entries[damaged[0]].offset)
    blank = [entries[damaged[0]]] if damaged[0] > 0 else []  # the init segment is mended from its second copy
    assert reader.read_checked(entries)[1] == blank
    reader.close()
