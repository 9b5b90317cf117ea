"""What is kept of recordings: the store does not hold it, or nothing proves that it does. Blocking.

<recording>/aside/          of one whose object lacks something (media_missing)
<recording>/                of one whose upload ended without a proof: kept.json says why
.damaged/<recording>.<n>/   of one that was made again of what the bucket holds (made_again)
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from storage.keys import check_recording, is_recording
from storage.spool.directory import spooled_recordings
from storage.spool.durable_files import disk_errors, sync_directory
from storage.spool.format import ASIDE, FACTS, INDEX, KEPT, SpoolFacts
from storage.spool.small_files import read_twice
from storage.takeover.damaged_spool import DAMAGED, is_written
from storage.upload.files import KeptBecause, UploadFiles

MEDIA_MISSING = "media_missing"  # the object lacks something that had been recorded
MADE_AGAIN = "made_again"
SPOOL_DAMAGED = "spool_damaged"


@dataclass(frozen=True, slots=True)
class Kept:
    """One directory that stays: of which recording, why, and sizes in bytes by name."""

    recording: str
    reason: str
    directory: Path
    files: dict[str, int]
    key: str | None = None  # of the object, where an upload may have left something in the store
    store: str | None = None  # that this is, by id

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


def list_kept(root: Path) -> list[Kept]:
    """What is kept under `root`, oldest recording first."""
    found = [kept for recording in spooled_recordings(root) for kept in _of_spool(root / recording)]
    return sorted([*found, *_made_again(root)], key=lambda kept: kept.recording)


def kept_of(root: Path, recording: str) -> list[Kept]:
    """The same of one recording; nothing_set_aside (404) where nothing is kept of it."""
    check_recording(recording)
    found = [*_of_spool(root / recording), *(one for one in _made_again(root) if one.recording == recording)]
    if not found:
        raise BystanderError(
            "nothing_set_aside", f"Nothing is kept of {recording}.", fault=Fault.CALLER, status=404
        )
    return found


def kept_because(root: Path, recording: str, reason: str) -> Kept | None:
    """A whole spool that stays for a reason that is not written down in it; None where there is none."""
    spool = root / check_recording(recording)
    facts = _facts(spool)
    return None if facts is None else Kept(recording, reason, spool, _sizes(spool), facts.key, facts.store)


def give_up(kept: Kept, announce: Callable[[Kept], None]) -> None:
    """Remove it, for good, once `announce` was called with it; again after a failure removes the rest.

    upload_elsewhere, recording_running (409) while somebody writes or ships it.
    """
    if kept.reason == MADE_AGAIN:
        announce(kept)
        _remove(kept.directory)
        return
    spool = kept.directory.parent if kept.reason == MEDIA_MISSING else kept.directory
    files = UploadFiles(spool)
    try:
        if is_written(spool) or (kept.reason == MEDIA_MISSING and not _is_over(files)):
            raise BystanderError(
                "recording_running", "The upload is not over.", fault=Fault.CALLER, status=409
            )
        announce(kept)
        if kept.reason == MEDIA_MISSING:  # its receipt may still be wanted
            with disk_errors():
                shutil.rmtree(kept.directory)
                sync_directory(spool)
        else:
            _remove(spool)
    finally:
        files.close()


def _is_over(files: UploadFiles) -> bool:
    state = files.load()  # while it is not, it may be sent from what is kept here
    return state is not None and state.is_over


def _remove(directory: Path) -> None:
    """By a name that no server takes for a spool, so that a kill in the middle leaves nothing to ship."""
    with disk_errors():
        gone = directory.with_name(f".given-up-{directory.name}")
        shutil.rmtree(gone, ignore_errors=True)
        directory.rename(gone)
        sync_directory(directory.parent)
        shutil.rmtree(gone)


def _of_spool(spool: Path) -> Iterator[Kept]:
    with disk_errors():
        aside = spool / ASIDE
        if aside.is_dir():
            yield Kept(spool.name, MEDIA_MISSING, aside, _sizes(aside))
        elif (reason := _reason(spool)) is not None:
            facts = _facts(spool)
            key, store = (None, None) if facts is None else (facts.key, facts.store)
            yield Kept(spool.name, reason, spool, _sizes(spool), key, store)


def _reason(spool: Path) -> str | None:
    """Why a spool stays as it is; None while it is still to be shipped, or is over."""
    try:
        return msgspec.json.decode((spool / KEPT).read_bytes(), type=KeptBecause).code
    except FileNotFoundError:
        damaged = (spool / INDEX).exists() and _facts(spool) is None and not is_written(spool)
        return SPOOL_DAMAGED if damaged else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return SPOOL_DAMAGED


def _made_again(root: Path) -> Iterator[Kept]:
    damaged = root / DAMAGED
    if not damaged.is_dir():
        return
    for path in sorted(damaged.iterdir()):
        recording = path.name.rpartition(".")[0]
        if is_recording(recording) and path.is_dir():
            yield Kept(recording, MADE_AGAIN, path, _sizes(path))


def _facts(spool: Path) -> SpoolFacts | None:
    try:
        return read_twice(spool / FACTS, SpoolFacts)
    except BystanderError:
        return None


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(directory.iterdir()) if path.is_file()}
