"""Files set aside: what is left of spools whose object lacks something that they may still have. Blocking."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from storage.keys import check_recording
from storage.spool.directory import spooled_recordings
from storage.spool.durable_files import disk_errors, sync_directory
from storage.spool.format import ASIDE
from storage.upload.files import UploadFiles


@dataclass(frozen=True, slots=True)
class SetAside:
    """What is kept of one recording: sizes in bytes by name."""

    recording: str
    files: dict[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


def list_set_aside(root: Path) -> list[SetAside]:
    """What is kept under `root`, oldest recording first."""
    found = (_look(root, recording) for recording in spooled_recordings(root))
    return [kept for kept in found if kept is not None]


def give_up(root: Path, recording: str, announce: Callable[[SetAside], None]) -> None:
    """Remove what is kept of a recording, for good, once `announce` was called with it.

    nothing_set_aside (404); upload_elsewhere, recording_running (409) while its upload is not over.
    """
    kept = _look(root, check_recording(recording))
    if kept is None:
        raise BystanderError(
            "nothing_set_aside", f"Nothing is set aside of {recording}.", fault=Fault.CALLER, status=404
        )
    directory = root / recording
    files = UploadFiles(directory)
    try:
        state = files.load()
        if state is None or not state.is_over:  # it may be sent from what is kept here
            raise BystanderError(
                "recording_running", "The upload is not over.", fault=Fault.CALLER, status=409
            )
        announce(kept)
        with disk_errors():
            shutil.rmtree(directory / ASIDE)
            sync_directory(directory)
    finally:
        files.close()


def _look(root: Path, recording: str) -> SetAside | None:
    aside = root / recording / ASIDE
    with disk_errors():
        if not aside.is_dir():
            return None
        return SetAside(recording, {path.name: path.stat().st_size for path in sorted(aside.iterdir())})
