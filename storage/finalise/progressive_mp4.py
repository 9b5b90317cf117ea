"""A recording that becomes an ordinary MP4 at its end: `storage.container = "mp4"`.

Its bytes go up as fragments like any other's. As they pass, what they say of their samples is gathered; at
the end that becomes a `moov` behind the last fragment, and a new head encloses them all.
The `moov` is read as if the spool held it, after its last fragment, so it is cut into parts, sent and
compared as fragments are. After a crash it is made again from the spool: the same bytes of the same spool.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from storage.spool.format import IndexEntry
from storage.spool.part_bytes import FinaliseInit, fill_init
from storage.spool.reader import SpoolReader
from storage.upload_plan.state import UploadState

_log = logging.getLogger(__name__)

Read = Callable[[int, int], bytes]


class Movie(Protocol):
    """What makes an ordinary file of fragments; media.isobmff.progressive.movie.OrdinaryMovie is one."""

    @property
    def inner_init(self) -> bytes:
        """The init segment, as much shorter as the head is longer than what it encloses."""
        ...

    def take(self, start: int, stop: int, end_us: int, read: Read) -> bool:
        """Take the fragments in these bytes, which end at this time; False where they make no sense."""
        ...

    def head(self, inner: bytes, media_bytes: int) -> bytes:
        """The head around `inner`, which is the filled-in `inner_init`, and so many bytes of fragments."""
        ...

    def movie(self, moved: int) -> bytes:
        """What goes behind the fragments, which stand so many bytes behind where they were taken."""
        ...


MakeMovie = Callable[[bytes], Movie]  # of the recorded init segment; ValueError where that cannot be


class ProgressiveMp4:
    """One recording's way to an ordinary file. Blocking; one thread at a time."""

    def __init__(self, reader: SpoolReader, make: MakeMovie, finalise: FinaliseInit) -> None:
        """`finalise` fills in the init segment that is enclosed; longer only where the store joins parts."""
        self._reader = reader
        self._make = make
        self._finalise = finalise
        self._movie: Movie | None = None
        self._taken = 0  # entries, from the first on
        self._head: bytes | None = None

    def look(self, entries: list[IndexEntry], state: UploadState, *, ended: bool) -> list[IndexEntry] | None:
        """Gather what came since the last time, so that little is left to do at the end.

        The entries of what is to be sent: once it `ended`, of the whole file. None where that cannot be made.
        """
        if len(entries) < 2 or self._head is not None:
            return entries
        if ended:
            return self._finish(entries, state)
        try:
            self._take(entries, frozenset())
        except ValueError:
            _log.debug("%s will stay fragmented", self._name)  # said aloud at its end
        return entries

    def _finish(self, entries: list[IndexEntry], state: UploadState) -> list[IndexEntry] | None:
        gaps = self._gaps(entries, state)
        try:
            if any(entry.offset in gaps for entry in entries[: self._taken]):
                self._movie, self._taken = None, 0
            movie = self._take(entries, gaps)
            head = self._finished_head(movie, entries)
            tables = movie.movie(len(head) - entries[0].length)
        except ValueError:
            _log.exception("%s cannot be made an ordinary file; it stays fragmented", state.key)
            return None
        self._head = head
        self._reader.extend(tables)
        return self._reader.index()

    def fill(self, init: bytes, entries: Sequence[IndexEntry]) -> bytes:
        """The head: a FinaliseInit for what `look` has returned at the end."""
        if self._head is None:
            raise ValueError("a head that was not made")
        return self._head

    def _finished_head(self, movie: Movie, entries: Sequence[IndexEntry]) -> bytes:
        shift = len(movie.inner_init) - entries[0].length
        inner = fill_init(movie.inner_init, [entry.moved(shift) for entry in entries], self._finalise)
        return movie.head(inner, entries[-1].stop - entries[0].stop)

    def _take(self, entries: Sequence[IndexEntry], gaps: frozenset[int]) -> Movie:
        movie = self._movie or self._make(self._init(entries[0]))
        self._movie = movie
        for entry in entries[max(1, self._taken) :]:
            end_us = entry.start_us + entry.duration_us
            if entry.offset not in gaps and not movie.take(
                entry.offset, entry.stop, end_us, self._reader.read
            ):
                _log.error("no samples are known of the fragment at %d of %s", entry.offset, self._name)
        self._taken = len(entries)
        return movie

    def _init(self, entry: IndexEntry) -> bytes:
        data, damaged = self._reader.read_checked([entry])
        if damaged:
            raise ValueError("a damaged init segment")
        return data

    def _gaps(self, entries: Sequence[IndexEntry], state: UploadState) -> frozenset[int]:
        """Fragments that are blank in the object, or will be: those still to be sent are read for that now.

        Where the store takes the file over nothing is read, as ever.
        """
        if state.adopts:
            return frozenset(state.damaged)
        held = [(part.offset, part.offset + part.size) for part in state.parts if part.etag]
        unsent = [e for e in entries[1:] if not any(start <= e.offset < stop for start, stop in held)]
        found = {entry.offset for entry in unsent if self._reader.read_checked([entry])[1]}
        return frozenset(found.union(state.damaged))

    @property
    def _name(self) -> str:
        return self._reader.facts.recording
