"""Spools that lost what they had: how to tell, and what is still good in them. Blocking."""

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from recorder.kernel.errors import BystanderError
from storage.spool import format as form
from storage.spool.derived_index import fragments_between
from storage.spool.directory import mend
from storage.spool.durable_files import disk_errors, sync_directory, write_fully
from storage.spool.format import IndexEntry, SpoolEnding, SpoolFacts
from storage.spool.reader import SpoolReader
from storage.spool.small_files import is_there, read_twice
from storage.upload_plan.state import UploadState

DAMAGED = ".damaged"  # under the spools' directory: where those that were made again are kept
_UNREADABLE = ("spool_missing", "spool_damaged")

_log = logging.getLogger(__name__)


def is_stored(root: Path, recording: str) -> bool:
    """Whether a receipt says that the object is verified, so that nothing beside it is needed."""
    state = _state(root / recording)
    return state is not None and state.is_over


def holds_its_media(root: Path, recording: str) -> bool:
    """Whether nobody need look for more of it: it has all that it ever promised, or is over, or still
    written."""
    directory = root / recording
    if is_written(directory):
        return True
    if not is_there(directory / form.FACTS) and not is_there(directory / form.UPLOAD):
        return False
    state = _state(directory)
    if state is not None and state.is_over:
        return True
    try:
        reader = SpoolReader.open(root, recording)
    except BystanderError as error:
        if error.code not in _UNREADABLE:
            raise
        return False
    try:
        ending = _ending(directory)
        promised = max(1, ending.bytes if ending else 0, state.acknowledged if state else 0)
        return _size(reader) >= promised
    finally:
        reader.close()


def mend_spool(root: Path, facts: SpoolFacts) -> bool:
    """Whether nothing but its facts was missing in a spool, which has them again now."""
    return mend(root, facts) and holds_its_media(root, facts.recording)


def extent(root: Path, recording: str) -> int:
    """How many bytes of whole fragments the spool has, those counted whose records are gone."""
    try:
        reader = SpoolReader.open(root, recording)
    except BystanderError as error:
        if error.code not in _UNREADABLE:
            raise
        return 0
    try:
        indexed = _size(reader)
        with disk_errors(), (root / recording / form.MEDIA).open("rb") as media:
            found = fragments_between(
                lambda start, stop: os.pread(media.fileno(), stop - start, start),
                indexed,
                os.fstat(media.fileno()).st_size,
            )
        return found[-1].stop if found else indexed
    finally:
        reader.close()


def put_aside(root: Path, recording: str) -> Path | None:
    """Move what is left of a spool out of the way; where it is now, None when there was nothing."""
    directory = root / recording
    with disk_errors():
        if not directory.is_dir():
            return None
        kept = root / DAMAGED
        kept.mkdir(mode=0o750, exist_ok=True)
        number = sum(1 for path in kept.iterdir() if path.name.rpartition(".")[0] == recording)
        aside = kept / f"{recording}.{number}"
        directory.rename(aside)
        sync_directory(kept)
        sync_directory(root)
    _log.error("what is left of the spool of %s is kept as %s", recording, aside)
    return aside


def ending_of(directory: Path) -> SpoolEnding | None:
    """How the recording ended, if that can still be read."""
    return _ending(directory)


def events_of(directory: Path) -> bytes:
    """The whole lines of events.jsonl that are left."""
    try:
        data = (directory / form.EVENTS).read_bytes()
    except OSError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def take_in_media(old: Path, media: Path, entries: Sequence[IndexEntry]) -> int:
    """Write those of these fragments into `media` that the old file still holds as they were; how many."""
    taken = 0
    with disk_errors():
        try:
            source = os.open(old / form.MEDIA, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        target = os.open(media, os.O_RDWR)
        try:
            for entry in entries:
                data = os.pread(source, entry.length, entry.offset)
                if len(data) == entry.length and form.crc32c(data) == entry.crc32c:
                    write_fully(target, data, entry.offset)
                    taken += 1
            os.fsync(target)
        finally:
            os.close(source)
            os.close(target)
    return taken


def is_written(directory: Path) -> bool:
    """Whether a writer still holds it open, whatever became of its facts."""
    try:
        index = os.open(directory / form.INDEX, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(index, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(index)
    return False


def _size(reader: SpoolReader) -> int:
    try:
        _ = reader.ending  # what it promises is looked for in the media, too
    except BystanderError as error:
        _log.warning("the ending of %s cannot be read: %s", reader.facts.recording, error.code)
    return reader.size


def _ending(directory: Path) -> SpoolEnding | None:
    try:
        return read_twice(directory / form.END, SpoolEnding)
    except BystanderError:  # set aside and made again when the spool is sealed
        return None


def _state(directory: Path) -> UploadState | None:
    try:
        return read_twice(directory / form.UPLOAD, UploadState)
    except BystanderError:  # begun anew when it is shipped
        return None
