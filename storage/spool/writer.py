"""The writing side of a spool: what `append` returned for survives kill -9 and a power cut.

Order of one append: the fragment is written to `media` and made durable (fdatasync), then its record is
written to `index` and made durable. So an index record never speaks of bytes that are not there, and a reader
needs only the index to find the longest prefix of whole fragments. Two fdatasync for each fragment cost a few
milliseconds every two seconds, on the render thread, and buy that an acknowledged fragment is never lost.

Before the init segment a second copy of it is written: without it nothing plays, so one flipped bit must not
cost the recording.

`events.jsonl` is written through but made durable only by `end`: nothing in the media depends on it.
"""

import fcntl
import hashlib
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import FRAGMENT_BYTES_MAX
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.keys import check_key, check_recording
from storage.spool import format as form
from storage.spool import pending_fragment as provisional
from storage.spool.derived_index import fragments_between
from storage.spool.durable_files import (
    disk_error,
    disk_errors,
    remove_flat_directory,
    reserve,
    sync_directory,
    write_atomic,
    write_fully,
    write_into_reserve,
)
from storage.spool.format import IndexEntry, SpoolEnding, SpoolFacts
from storage.spool.small_files import is_there, write_copy, write_twice

_log = logging.getLogger(__name__)

UNINDEXED_MIN = 2  # whole fragments without a record that say that the index is damaged
EVENT_BYTES_MAX = 16 * 1024  # one line of events.jsonl: a name, a source and a little detail


class SpoolWriter:
    """The only writer of one recording's spool. Calls block on the disk; any thread may make them.

    The writer holds a lock on the index for as long as it lives, so others can tell a writer that still works
    from one that died without `end`.
    """

    def __init__(self, directory: Path) -> None:
        """Use `create` or `resume`."""
        self._directory = directory
        self._size = self._count = self._duration_us = 0
        self._digest = hashlib.sha256()  # as form.index_digest makes it
        self._ended = self._derived = False
        self._mutex = threading.Lock()
        self._media, self._index, self._events = (
            os.open(directory / name, flags, 0o640)
            for name, flags in (
                (form.MEDIA, os.O_RDWR | os.O_CREAT),
                (form.INDEX, os.O_RDWR | os.O_CREAT),
                (form.EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            )
        )

    @classmethod
    def create(cls, root: Path, facts: SpoolFacts) -> "SpoolWriter":
        """Make `<root>/<recording>/` with its facts and reserves, durable before this returns.

        spool_exists (409) when there is one already; disk_full when the reserve cannot be held back.
        """
        directory = root / check_recording(facts.recording)
        check_key(facts.key)
        with disk_errors():
            root.mkdir(parents=True, exist_ok=True)
            try:
                directory.mkdir(mode=0o750)
            except FileExistsError as error:
                raise BystanderError(
                    "spool_exists", "This recording has a spool already.", fault=Fault.SERVER, status=409
                ) from error
            try:
                writer = cls._made(directory, facts)
            except OSError:
                remove_flat_directory(directory)
                raise
            sync_directory(root)
        return writer

    @classmethod
    def _made(cls, directory: Path, facts: SpoolFacts) -> "SpoolWriter":
        reserve(directory / form.END_RESERVE, form.END_RESERVE_BYTES)
        reserve(directory / form.RESERVE, form.RESERVE_BYTES)
        writer = cls(directory)
        try:
            fcntl.flock(writer._index, fcntl.LOCK_EX)
            write_twice(directory / form.FACTS, msgspec.json.encode(facts))  # from here on it is a spool
        except OSError:
            writer.close()
            raise
        return writer

    @classmethod
    def resume(cls, root: Path, recording: str) -> "SpoolWriter":
        """Go on after a crash: what is past the longest prefix of whole fragments is cut off.

        spool_in_use (409) while the first writer lives.
        """
        directory = root / check_recording(recording)
        with disk_errors():
            if not is_there(directory / form.FACTS):
                raise BystanderError(
                    "spool_missing", "This recording has no spool.", fault=Fault.SERVER, status=404
                )
            writer = cls(directory)
            try:
                fcntl.flock(writer._index, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                writer.close()
                raise BystanderError(
                    "spool_in_use", "Another process writes this.", fault=Fault.RESOURCE, status=409
                ) from error
            writer._cut_to_whole_fragments()
            if not writer._ended:
                writer._close_media()
        return writer

    def stand_inside(self) -> Path:
        """Make its directory the process's own, and reach its files from there; returns it as it is reached.

        So a process goes on writing that may not look into the directories above any more.
        """
        os.chdir(self._directory)
        self._directory = Path()
        return self._directory

    @property
    def size(self) -> int:
        """Bytes of whole fragments in the spool."""
        return self._size

    @property
    def fragments(self) -> int:
        """Number of whole fragments in the spool."""
        return self._count

    @property
    def duration_us(self) -> int:
        """Where on the recording's clock the last fragment ends, in microseconds."""
        return self._duration_us

    def append(self, fragment: Fragment) -> IndexEntry:
        """Add one fragment; it is durable, and readable by others, when this returns.

        A provisional one is durable, but others read what it becomes. On disk_full or disk_failed the spool
        stands exactly as before the call.
        """
        with self._mutex:
            self._check(fragment)
            entry = IndexEntry(
                fragment.kind,
                self._size,
                len(fragment.data),
                fragment.start_us,
                fragment.duration_us,
                form.crc32c(fragment.data),
            )
            if fragment.provisional:
                with disk_errors():
                    provisional.keep(self._directory, entry, fragment.data)
                self._duration_us = max(self._duration_us, entry.start_us + entry.duration_us)
            else:
                self._append(entry, fragment.data)
            return entry

    def _append(self, entry: IndexEntry, data: bytes) -> None:
        try:
            if entry.kind is FragmentKind.INIT:
                write_atomic(self._directory / form.INIT, form.without_zeros(data))
            write_fully(self._media, data, self._size)
            os.fdatasync(self._media)
            write_fully(self._index, form.pack_record(entry), self._count * form.RECORD_BYTES)
            os.fdatasync(self._index)
        except OSError as error:
            with disk_errors():
                self._cut(self._count, self._size)
            raise disk_error(error) from error
        self._took(entry)

    def _take_in_provisional(self) -> None:
        """Append the fragment that can grow no more; on a full disk into the place that it leaves."""
        found = provisional.kept(self._directory, self._size)
        if found is None:
            return
        try:
            self._append(*found)
        except BystanderError as error:
            _log.warning("no room for the last fragment beside itself: %s", error.code)
            provisional.drop(self._directory)
            self._append(*found)

    def append_event(self, line: str | bytes) -> None:
        """Add one JSON document, without a line break in it, to events.jsonl."""
        data = line.encode() if isinstance(line, str) else line
        if len(data) > EVENT_BYTES_MAX or b"\n" in data:
            raise ValueError(f"an event is one line of at most {EVENT_BYTES_MAX} bytes")
        with self._mutex, disk_errors():
            os.write(self._events, data + b"\n")

    def end(self, reason: EndReason, failure: str | None, duration_us: int) -> SpoolEnding:
        """Say that no more will come, and why. Succeeds on a full disk; saying it again changes nothing."""
        with self._mutex, disk_errors():
            if not self._ended:
                self._close_media()
            ending = SpoolEnding(
                reason=reason,
                failure=failure,
                duration_us=duration_us,
                bytes=self._size,
                fragments=self._count,
                digest=self._digest.hexdigest(),
                derived=self._derived,
            )
            if not self._ended:
                os.fdatasync(self._events)
                write_into_reserve(
                    self._directory / form.END_RESERVE,
                    self._directory / form.END,
                    msgspec.json.encode(ending),
                )
                self._copy_ending(ending)
            self._ended = True
            return ending

    def _copy_ending(self, ending: SpoolEnding) -> None:
        """The second copy has no room held back for it: a full disk costs it, and nothing else."""
        try:
            write_copy(self._directory / form.END, msgspec.json.encode(ending))
        except OSError as error:
            _log.warning("end.json has no second copy: %s", error.strerror)

    def _close_media(self) -> None:
        try:
            self._take_in_provisional()
            provisional.drop(self._directory)
        except (BystanderError, OSError):
            _log.exception("the last fragment is lost")  # and the recording is not, which ends all the same

    def close(self) -> None:
        """Give up the files and the lock; nothing is written. May be called twice."""
        with self._mutex:
            for fd in (self._media, self._index, self._events):
                if fd >= 0:
                    os.close(fd)
            self._media = self._index = self._events = -1

    def _check(self, fragment: Fragment) -> None:
        if self._ended or self._index < 0:
            raise ValueError("the spool has ended or is closed")
        if not 0 < len(fragment.data) <= FRAGMENT_BYTES_MAX:
            raise ValueError(f"a fragment has 1 to {FRAGMENT_BYTES_MAX} bytes, not {len(fragment.data)}")
        if (fragment.kind is FragmentKind.INIT) == (self._count > 0):
            raise ValueError("an init segment comes first, and once")

    def _cut_to_whole_fragments(self) -> None:
        index = os.pread(self._index, os.fstat(self._index).st_size, 0)
        media_size = os.fstat(self._media).st_size
        found = form.scan(index, media_size=media_size)
        for entry in found.entries:
            self._took(entry)
        self._count = found.records
        self._take_in_unindexed(media_size)
        self._ended = is_there(self._directory / form.END)
        self._cut(self._count, self._size)
        os.fsync(self._index)
        os.fsync(self._media)
        events = (self._directory / form.EVENTS).read_bytes()
        os.ftruncate(self._events, events.rfind(b"\n") + 1)

    def _take_in_unindexed(self, media_size: int) -> None:
        """Give records to fragments that lost theirs: a writer that dies leaves one without, so two are
        damage."""
        found = fragments_between(self._pread, self._size, media_size, start_us=self._duration_us)
        if len(found) < UNINDEXED_MIN:
            return
        _log.error("%s: the index lost the records of %d fragments", self._directory.name, len(found))
        self._derived = True
        for entry in found:
            data = self._pread(entry.offset, entry.stop)
            sound = replace(entry, crc32c=form.crc32c(data))
            write_fully(self._index, form.pack_record(sound), self._count * form.RECORD_BYTES)
            self._took(sound)

    def _pread(self, start: int, stop: int) -> bytes:
        return os.pread(self._media, stop - start, start)

    def _took(self, entry: IndexEntry) -> None:
        self._size, self._count = entry.stop, self._count + 1
        self._digest.update(form.identity(entry))
        self._duration_us = max(self._duration_us, entry.start_us + entry.duration_us)

    def _cut(self, count: int, size: int) -> None:
        """Drop what is beyond: the index first, so that it never speaks of bytes that are gone."""
        os.ftruncate(self._index, count * form.RECORD_BYTES)
        os.ftruncate(self._media, size)
