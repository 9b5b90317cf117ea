"""The directories of spools under one root: which there are, how each ended."""

import logging
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.keys import check_recording, is_recording
from storage.spool.durable_files import disk_errors
from storage.spool.format import END, FACTS, INDEX, MEDIA, UPLOAD, SpoolEnding, SpoolFacts
from storage.spool.reader import SpoolReader
from storage.spool.small_files import copy_of, is_there, read_twice, write_twice
from storage.spool.writer import SpoolWriter

DAMAGED = ".damaged"  # what could not be read and was made again stays under this suffix

_log = logging.getLogger(__name__)


def spooled_recordings(root: Path) -> list[str]:
    """The recordings that have a spool under `root`, or what damage left of one, oldest id first."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if is_recording(path.name) and _is_spool(path))


def _is_spool(directory: Path) -> bool:
    """Without facts it is one if it holds media: one whose making a crash cut short holds none."""
    if is_there(directory / FACTS):
        return True
    return any(_has_bytes(directory / name) for name in (MEDIA, INDEX)) or is_there(directory / UPLOAD)


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def seal(root: Path, recording: str, reason: EndReason, failure: str) -> SpoolEnding:
    """End the spool of a writer that died without `end`; the ending it wrote stands, where it wrote one.

    spool_in_use (409) while the writer lives.
    """
    reader = SpoolReader.open(root, recording)
    try:
        ending = _ending_of(reader)
        if ending is not None:
            return ending
    finally:
        reader.close()
    writer = SpoolWriter.resume(root, recording)
    try:
        return writer.end(reason, failure, writer.duration_us)
    finally:
        writer.close()


def _ending_of(reader: SpoolReader) -> SpoolEnding | None:
    """How it ended; an ending that cannot be read is set aside, and made again of what the index has."""
    try:
        return reader.ending
    except BystanderError as error:
        if error.code != "spool_damaged" or reader.writer_lives():
            raise
    _log.error("the ending of %s cannot be read and is made again", reader.facts.recording)
    with disk_errors():
        for path in (reader.directory / END, copy_of(reader.directory / END)):
            if path.exists():
                path.replace(path.with_name(path.name + DAMAGED))
    return None


def spool_ending(root: Path, recording: str) -> SpoolEnding | None:
    """How the spool, or the receipt that is left of it, says that the recording ended, if it does."""
    return read_twice(root / check_recording(recording) / END, SpoolEnding)


def unended_s(root: Path, recording: str) -> float | None:
    """How long what is spooled lasts, where nothing says that it has ended; None where there is no media."""
    reader = open_or_none(root, recording)
    if reader is None:
        return None
    try:
        entries = reader.index()
        if len(entries) < 2 or reader.ending is not None:  # the first is the init segment
            return None
        return (entries[-1].start_us + entries[-1].duration_us) / 1e6
    finally:
        reader.close()


def open_or_none(root: Path, recording: str) -> SpoolReader | None:
    """The spool's reader, or None when there is no spool (any more)."""
    try:
        return SpoolReader.open(root, recording)
    except BystanderError as error:
        if error.code == "spool_missing":
            return None
        raise


def mend(root: Path, facts: SpoolFacts) -> bool:
    """Write down again what a spool's damaged facts must have said, as somebody else knows it; whether it
    was needed.

    Facts that can be read and name the same recording and key stay.
    """
    directory = root / check_recording(facts.recording)
    if not directory.is_dir() or not _is_spool(directory):
        return False
    try:
        found = read_twice(directory / FACTS, SpoolFacts)
    except BystanderError as error:
        if error.code != "spool_damaged":
            raise
        found = None
    if found is not None and found.agree(facts.recording) and found.key == facts.key:
        return False
    with disk_errors():
        write_twice(directory / FACTS, msgspec.json.encode(facts))
    return True
