"""The directories of spools under one root: which there are, how each ended."""

from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.keys import check_recording
from storage.spool.durable_files import read_json
from storage.spool.format import END, FACTS, SpoolEnding
from storage.spool.reader import SpoolReader
from storage.spool.writer import SpoolWriter


def spooled_recordings(root: Path) -> list[str]:
    """The recordings that have a spool under `root`, oldest id first."""
    if not root.is_dir():
        return []
    return sorted(path.parent.name for path in root.glob(f"*/{FACTS}"))


def seal(root: Path, recording: str, reason: EndReason, failure: str) -> SpoolEnding:
    """End the spool of a writer that died without `end`; the ending it wrote stands, where it wrote one.

    spool_in_use (409) while the writer lives.
    """
    reader = SpoolReader.open(root, recording)
    try:
        ending = reader.ending
        if ending is not None:
            return ending
    finally:
        reader.close()
    writer = SpoolWriter.resume(root, recording)
    try:
        return writer.end(reason, failure, writer.duration_us)
    finally:
        writer.close()


def spool_ending(root: Path, recording: str) -> SpoolEnding | None:
    """How the spool, or the receipt that is left of it, says that the recording ended, if it does."""
    return read_json(root / check_recording(recording) / END, SpoolEnding)


def open_or_none(root: Path, recording: str) -> SpoolReader | None:
    """The spool's reader, or None when there is no spool (any more)."""
    try:
        return SpoolReader.open(root, recording)
    except BystanderError as error:
        if error.code == "spool_missing":
            return None
        raise
