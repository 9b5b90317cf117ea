"""Files of an upload in the spool's directory: its state, its lock, at the end the receipt. Blocking."""

import os
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from storage.spool import format as form
from storage.spool.durable_files import (
    disk_error,
    disk_errors,
    lock,
    read_json,
    remove_flat_directory,
    sync_directory,
    write_atomic,
)
from storage.upload_plan.state import UploadState

_KEPT = (form.UPLOAD, form.FACTS, form.END)  # the receipt


class UploadFiles:
    """One recording's upload.json. Only the holder of the lock makes one of these."""

    def __init__(self, directory: Path) -> None:
        """upload_elsewhere (409) when another process ships this spool."""
        self._directory = directory
        if not directory.is_dir():
            raise BystanderError(
                "spool_missing", "This recording has no spool.", fault=Fault.SERVER, status=404
            )
        with disk_errors():
            fd = lock(directory / form.UPLOAD_LOCK)
        if fd is None:
            raise BystanderError(
                "upload_elsewhere", "Another server ships this recording.", fault=Fault.RESOURCE, status=409
            )
        self._lock = fd

    def load(self) -> UploadState | None:
        """The state as it was last saved."""
        return read_json(self._directory / form.UPLOAD, UploadState)

    def save(self, state: UploadState) -> None:
        """Make the state durable; on a full disk the room held back for it is used."""
        data = msgspec.json.encode(state)
        try:
            write_atomic(self._directory / form.UPLOAD, data)
        except OSError as error:
            if disk_error(error).code != "disk_full":
                raise disk_error(error) from error
            self.give_up_reserve()
            with disk_errors():
                write_atomic(self._directory / form.UPLOAD, data)

    def give_up_reserve(self) -> None:
        """Let the disk have the room that was held back for the end of this upload."""
        with disk_errors():
            (self._directory / form.RESERVE).unlink(missing_ok=True)

    def discard_media(self) -> None:
        """Remove all but the receipt, which says that the object is verified and where it is."""
        with disk_errors():
            for path in self._directory.iterdir():
                if path.name not in (*_KEPT, form.UPLOAD_LOCK):
                    path.unlink(missing_ok=True)
            sync_directory(self._directory)

    def remove(self) -> None:
        """Remove the receipt too, upload.json last, and the directory."""
        with disk_errors():
            remove_flat_directory(self._directory, last=form.UPLOAD)

    def close(self) -> None:
        """Give up the lock. May be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1
