"""The restoring of a spool from what lay beside an upload, so that shipping goes on from there."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recorder.kernel.media import FragmentKind
from recorder.kernel.recording import EndReason
from storage.keys import check_recording
from storage.spool import format as form
from storage.spool.durable_files import (
    disk_errors,
    remove_flat_directory,
    reserve,
    sync_directory,
    write_atomic,
    write_fully,
)
from storage.spool.format import IndexEntry, SpoolEnding, SpoolFacts
from storage.spool.small_files import write_twice
from storage.store import ListedPart, Part
from storage.takeover import damaged_spool
from storage.takeover.journal_format import Page, PageHeader
from storage.upload_plan.state import UploadState

NODE_LOST = "node_lost"
RESTORING = ".restoring"  # under the spools' directory: where one is made before it has its name


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The longest beginning of a recording that pages and parts hold together; pure."""

    header: PageHeader  # of the newest page
    entries: list[IndexEntry]
    data: dict[int, bytes]  # offset of the first fragment: the bytes of adjoining fragments
    parts: list[Part]

    @property
    def facts(self) -> SpoolFacts:
        """Whose recording it is."""
        return self.header.facts

    @classmethod
    def of(
        cls, pages: Sequence[Page], upload_id: str | None, listed: Sequence[ListedPart] | None
    ) -> "RestorePlan | None":
        """None where not even the init segment is found.

        `listed` is what the store has of the upload; None where it has the upload no more.
        """
        grown = [page for page in pages if page.header.provisional]
        pages = [page for page in pages if not page.header.provisional]
        if not pages:
            return None
        newest = max(pages, key=lambda page: page.entries[-1].stop)
        known = [_as_listed(page, listed) for page in pages if page.header.upload_id == upload_id]
        usable = [p for p in pages if p.header.part is None] + [p for p in known if p is not None]
        by_offset = {entry.offset: entry for page in usable for entry in page.entries}
        entries: list[IndexEntry] = []
        at = 0
        while (entry := by_offset.get(at)) is not None:
            entries.append(entry)
            at = entry.stop
        if not entries or entries[0].kind is not FragmentKind.INIT:
            return None
        data = {page.entries[0].offset: page.data for page in usable if page.data}
        behind = [page for page in grown if page.entries[0].offset == at == newest.entries[-1].stop]
        if behind:
            longest = max(behind, key=lambda page: page.entries[0].duration_us)
            entries += longest.entries
            data[at] = longest.data
        parts = sorted((p.header.part for p in usable if p.header.part is not None), key=lambda p: p.number)
        return cls(
            header=msgspec.structs.replace(newest.header, upload_id=upload_id, part=None),
            entries=entries,
            data=data,
            parts=[part for part in parts if part.offset + part.size <= at],
        )

    @property
    def state(self) -> UploadState:
        """How far the upload was."""
        return UploadState(
            key=self.facts.key,
            head=self.header.head,
            part_size_bytes=self.header.part_size_bytes,
            upload_id=self.header.upload_id,
            head_growth=self.header.head_growth,
            parts=tuple(self.parts),
            strays=True,
        )

    @property
    def init(self) -> bytes | None:
        """The init segment, where a page holds it."""
        return self.data[0][: self.entries[0].length] if 0 in self.data else None

    @property
    def not_held(self) -> list[IndexEntry]:
        """The fragments whose bytes no page has."""
        spans = [(start, start + len(data)) for start, data in self.data.items()]
        return [e for e in self.entries if not any(start <= e.offset < stop for start, stop in spans)]

    @property
    def ending(self) -> SpoolEnding:
        """The recording ended with its node, as far as anybody can know."""
        last = self.entries[-1]
        return SpoolEnding(
            reason=EndReason.ABORT_UNEXPECTED,
            failure=NODE_LOST,
            duration_us=max(entry.start_us + entry.duration_us for entry in self.entries),
            bytes=last.stop,
            fragments=len(self.entries),
        )


def upload_of(pages: Sequence[Page], dangling: frozenset[str]) -> str | None:
    """The upload that goes on: the newest that pages speak of and the store still has, or else the newest."""
    spoken_of = [p.header.upload_id for p in _by_end(pages) if p.header.upload_id]
    return next((it for it in spoken_of if it in dangling), spoken_of[0] if spoken_of else None)


def _as_listed(page: Page, listed: Sequence[ListedPart] | None) -> Page | None:
    """The page of a part with what the store says of it; None for another, and where it has no such part."""
    part = page.header.part
    if part is None or listed is None or part.etag:
        return None if part is None else page
    found = next((it for it in listed if (it.number, it.size) == (part.number, part.size)), None)
    if found is None:
        return None  # its node died before it was sent
    known = msgspec.structs.replace(part, etag=found.etag)
    return dataclasses.replace(page, header=msgspec.structs.replace(page.header, part=known))


def restore_spool(root: Path, salvage: RestorePlan, events: bytes) -> None:
    """Make the spool, durable and under its name on return; an interrupted one is made again.

    `events` are lines of events.jsonl: what happened, as far as it is known. What a damaged spool still
    has is taken in, and all of it is kept aside.
    """
    old = root / check_recording(salvage.facts.recording)
    directory = root / RESTORING / salvage.facts.recording
    ending = damaged_spool.ending_of(old) or salvage.ending
    events = max(damaged_spool.events_of(old), events, key=len)
    with disk_errors():
        remove_flat_directory(directory)
        directory.mkdir(parents=True, mode=0o750)
        reserve(directory / form.RESERVE, form.RESERVE_BYTES)
        _write_media(directory / form.MEDIA, salvage)
        damaged_spool.take_in_media(old, directory / form.MEDIA, salvage.not_held)
        if salvage.init is not None:
            write_atomic(directory / form.INIT, form.without_zeros(salvage.init))
        write_atomic(directory / form.INDEX, b"".join(map(form.pack_record, salvage.entries)))
        write_atomic(directory / form.EVENTS, events)
        write_twice(directory / form.END, msgspec.json.encode(ending))
        write_twice(directory / form.UPLOAD, msgspec.json.encode(salvage.state))
        write_twice(directory / form.FACTS, msgspec.json.encode(salvage.facts))
        damaged_spool.put_aside(root, salvage.facts.recording)
        directory.rename(old)
        sync_directory(root)


def _write_media(path: Path, salvage: RestorePlan) -> None:
    """The bytes that pages held; holes where parts hold them."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        stop = salvage.entries[-1].stop
        os.ftruncate(fd, stop)
        for offset, data in salvage.data.items():
            if offset + len(data) <= stop:
                write_fully(fd, data, offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def _by_end(pages: Sequence[Page]) -> list[Page]:
    return sorted(pages, key=lambda page: page.entries[-1].stop, reverse=True)
