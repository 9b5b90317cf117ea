"""The reading side of a spool: works beside the writer, from another process, and after any crash."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import MIB
from recorder.kernel.media import FragmentKind
from storage.keys import check_recording
from storage.spool import format as form
from storage.spool import pending_fragment as provisional
from storage.spool.derived_index import fragments_between
from storage.spool.durable_files import disk_error, disk_errors
from storage.spool.format import IndexEntry, SpoolEnding, SpoolFacts
from storage.spool.insert_range import at_rest, moved_by
from storage.spool.small_files import damaged, is_there, read_twice

BEHIND_PIECE_BYTES = 4 * MIB  # so that parts of what follows the fragments are no larger than others


class SpoolReader:
    """A view of one recording's spool that grows with it. Calls block on the disk; one thread at a time.

    The open files stay readable when the spool is removed meanwhile.
    """

    def __init__(self, directory: Path, facts: SpoolFacts, media: int, index: int) -> None:
        """Use `open`."""
        self.directory = directory
        self.facts = facts
        self._media, self._index = media, index
        self._entries: list[IndexEntry] = []
        self._records = 0  # of the index file, that the entries took
        self._ending: SpoolEnding | None = None
        self._resolved = False  # what the index lost was looked for in the media
        self._init_copy: bytes | None = None
        self._behind, self._behind_entries = b"", list[IndexEntry]()

    @classmethod
    def open(cls, root: Path, recording: str) -> "SpoolReader":
        """Open what `SpoolWriter` made; spool_missing (404) when there is nothing, or not yet."""
        directory = root / check_recording(recording)
        facts = read_twice(directory / form.FACTS, SpoolFacts)
        if facts is None:
            raise _missing()
        if not facts.agree(recording):
            raise damaged(directory / form.FACTS)
        try:
            media = os.open(directory / form.MEDIA, os.O_RDONLY)
        except FileNotFoundError as error:
            raise _missing() from error
        try:
            index = os.open(
                directory / form.INDEX, os.O_RDONLY | os.O_CREAT, 0o640
            )  # what is lost is derived
        except OSError as error:
            os.close(media)
            raise disk_error(error) from error
        return cls(directory, facts, media, index)

    @property
    def ending(self) -> SpoolEnding | None:
        """How the recording ended; None while it has not, or when its writer died."""
        if self._ending is None:
            self._ending = read_twice(self.directory / form.END, SpoolEnding)
        return self._ending

    @property
    def size(self) -> int:
        """Bytes of whole fragments that are readable now."""
        entries = self.index()
        return entries[-1].stop if entries else 0

    def index(self) -> list[IndexEntry]:
        """Every whole fragment so far, in order. Only what came since the last call is read.

        Of a recording that is known to have ended, what its index lost is derived from the media.
        """
        if self._resolved:  # the file may be the object by now, and cover what records of lost fragments say
            return self._entries + self._behind_entries
        with disk_errors():
            read_to = self._records * form.RECORD_BYTES
            new = os.pread(self._index, max(0, os.fstat(self._index).st_size - read_to), read_to)
            media_size = os.fstat(self._media).st_size
        before = self._entries[-1] if self._entries else None
        found = form.scan(new, media_size=media_size, before=before)
        self._entries += found.entries
        self._second_init()  # now, because who reads later may find only the files that are open
        self._records += found.records
        if self._ending is not None:
            self._resolved = True
            self._resolve(self._ending, media_size)
        return self._entries + self._behind_entries

    @property
    def _recorded_stop(self) -> int:
        return self._entries[-1].stop if self._entries else 0

    def _resolve(self, ending: SpoolEnding, media_size: int) -> None:
        """Find the fragments again whose records the index lost: in its middle, and behind its last."""
        with disk_errors(), at_rest(self._media):
            if moved_by(self._media):
                return
            if self._recorded_stop < ending.bytes <= media_size:
                self._entries += self._derived(self._recorded_stop, ending.bytes, ending.duration_us)
            resolved: list[IndexEntry] = []
            for entry in self._entries:
                end_us = entry.start_us + entry.duration_us
                lost = entry.crc32c == form.CHECKSUM_UNKNOWN
                resolved += (lost and self._derived(entry.offset, entry.stop, end_us)) or [entry]
            self._entries = resolved

    def _derived(self, start: int, stop: int, end_us: int) -> list[IndexEntry]:
        """Fragments from `start` to `stop` exactly; none where the boxes do not say so."""
        known = [entry for entry in self._entries if entry.stop <= start]
        start_us = known[-1].start_us + known[-1].duration_us if known else 0
        found = fragments_between(self._pread, start, stop, start_us=start_us, end_us=end_us)
        if not found or found[-1].stop != stop:
            return []
        return [replace(e, crc32c=form.crc32c(self._pread(e.offset, e.stop))) for e in found]

    def _pread(self, start: int, stop: int) -> bytes:
        return os.pread(self._media, stop - start, start)

    def growing(self) -> tuple[IndexEntry, bytes] | None:
        """The fragment behind all others, as far as it has grown; nobody may take it for the recording's."""
        with disk_errors():
            return provisional.kept(self.directory, self.size)

    def extend(self, tables: bytes) -> None:
        """Let this be read as if it stood behind the last fragment, in place of what was said before.

        For an ended spool whose object is to have it there; no file changes.
        """
        self._behind, self._behind_entries = tables, []
        stop, end_us = 0, 0
        if self._entries:
            last = self._entries[-1]
            stop, end_us = last.stop, last.start_us + last.duration_us
        for at in range(0, len(tables), BEHIND_PIECE_BYTES):
            piece = tables[at : at + BEHIND_PIECE_BYTES]
            entry = IndexEntry(FragmentKind.TABLES, stop + at, len(piece), end_us, 0, form.crc32c(piece))
            self._behind_entries.append(entry)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of the recording, at most as far as whole fragments go.

        These are the offsets of the index also where the finished file has its fragments further on. The
        fragments' checksums are not compared here: `read_checked` does that.
        """
        stop, end = min(stop, self.size), self.size - len(self._behind)
        recorded = self._read_recorded(start, min(stop, end))
        return recorded if stop <= end else recorded + self._behind[max(0, start - end) : stop - end]

    def _read_recorded(self, start: int, stop: int) -> bytes:
        """The init segment comes from its second copy: the first is written over at the end."""
        if stop <= start:
            return b""
        with disk_errors(), at_rest(self._media):
            moved = moved_by(self._media)
            init_stop, second = self._entries[0].stop, self._second_init()
            if not moved and (second is None or start >= init_stop):
                return self._read_media(start, stop)
            init = second or self._read_media(0, init_stop)
            return init[start : min(stop, init_stop)] + self._read_media(
                max(start, init_stop) + moved, stop + moved
            )

    def read_checked(self, entries: Sequence[IndexEntry]) -> tuple[bytes, list[IndexEntry]]:
        """The bytes of adjoining fragments, and those of them whose checksum does not match.

        An init segment is mended from its second copy.
        """
        data = self.read(entries[0].offset, entries[-1].stop)
        base = entries[0].offset
        damaged = [e for e in entries if not _is_sound(e, data[e.offset - base : e.stop - base])]
        init = self._second_init() if damaged and damaged[0].kind is FragmentKind.INIT else None
        return (data, damaged) if init is None else (init + data[len(init) :], damaged[1:])

    def _read_media(self, start: int, stop: int) -> bytes:
        chunks = []
        while start < stop:
            chunk = os.pread(self._media, stop - start, start)
            if not chunk:
                raise _damaged("The media of a spool is shorter than its index.")
            chunks.append(chunk)
            start += len(chunk)
        return b"".join(chunks)

    def _second_init(self) -> bytes | None:
        """The second copy of the init segment; None where it is damaged, or of before there was one."""
        if self._init_copy is None and self._entries:
            try:
                copy = (self.directory / form.INIT).read_bytes()
            except OSError:  # then there is the first
                return None
            init = form.with_zeros(copy, self._entries[0].length)
            whole = len(init) == self._entries[0].length and _is_sound(self._entries[0], init)
            self._init_copy = init if whole else None
        return self._init_copy

    def events(self) -> bytes:
        """All whole lines of events.jsonl so far."""
        try:
            data = (self.directory / form.EVENTS).read_bytes()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def writer_lives(self) -> bool:
        """Whether a process still holds the spool open for writing."""
        with disk_errors():
            try:
                fcntl.flock(self._index, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(self._index, fcntl.LOCK_UN)
            return False

    @property
    def is_being_written(self) -> bool:
        """Whether a writer works that has not said yet how it ended."""
        return not is_there(self.directory / form.END) and self.writer_lives()

    def close(self) -> None:
        """Close the files. May be called twice."""
        for fd in (self._media, self._index):
            if fd >= 0:
                os.close(fd)
        self._media = self._index = -1


def _is_sound(entry: IndexEntry, data: bytes) -> bool:
    if entry.crc32c == form.CHECKSUM_UNKNOWN:
        return form.is_box_sequence(data)
    return form.crc32c(data) == entry.crc32c


def _missing() -> BystanderError:
    return BystanderError("spool_missing", "This recording has no spool.", fault=Fault.SERVER, status=404)


def _damaged(detail: str) -> BystanderError:
    return BystanderError("spool_damaged", detail, fault=Fault.DESTINATION, status=500)
