"""Files of an upload in the spool's directory: its state, its lock, at the end the receipt. Blocking."""

import logging
import os
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from storage.spool import format as form
from storage.spool.durable_files import (
    disk_error,
    disk_errors,
    lock,
    remove_flat_directory,
    sync_directory,
    write_atomic,
)
from storage.spool.small_files import copy_of, read_twice, write_twice
from storage.upload_plan.state import UploadState

_log = logging.getLogger(__name__)


class KeptBecause(msgspec.Struct, frozen=True):
    """Why an upload ended without a proof."""

    code: str


_RECEIPT = (form.UPLOAD, form.FACTS, form.END)  # each with its copy


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
        self.lost_state = False  # there was one, and nothing of it can be believed

    @property
    def _receipt(self) -> set[str]:
        return {form.UPLOAD_LOCK, *_RECEIPT, *(copy_of(Path(name)).name for name in _RECEIPT)}

    def load(self) -> UploadState | None:
        """The state as it was last saved; None where none was, or where damage left nothing to believe.

        Then the upload begins anew, and the store is asked what it has before anything there is replaced.
        """
        try:
            return read_twice(self._directory / form.UPLOAD, UploadState)
        except BystanderError as error:
            if error.code != "spool_damaged":
                raise
            _log.error("upload.json of %s cannot be read; its upload begins anew", self._directory.name)
            self.lost_state = True
            return None

    def distrust(self) -> None:
        """What was loaded is not this recording's."""
        self.lost_state = True

    def save(self, state: UploadState) -> None:
        """Make the state durable; on a full disk the room held back for it is used."""
        data = msgspec.json.encode(state)
        try:
            write_twice(self._directory / form.UPLOAD, data)
        except OSError as error:
            if disk_error(error).code != "disk_full":
                raise disk_error(error) from error
            self.give_up_reserve()
            with disk_errors():
                write_twice(self._directory / form.UPLOAD, data)

    def give_up_reserve(self) -> None:
        """Let the disk have the room that was held back for the end of this upload."""
        with disk_errors():
            (self._directory / form.RESERVE).unlink(missing_ok=True)

    def note_kept(self, code: str) -> None:
        """Say why all of this stays, to whoever looks for it; a full disk costs this note alone."""
        try:
            write_atomic(self._directory / form.KEPT, msgspec.json.encode(KeptBecause(code)))
        except OSError as error:
            _log.error("why %s is kept is not written down: %s", self._directory.name, error.strerror)

    def discard_media(self) -> None:
        """Remove all but the receipt, which says that the object is verified and where it is."""
        kept = self._receipt
        with disk_errors():
            for path in [path for path in self._directory.iterdir() if path.is_file()]:
                if path.name not in kept:
                    path.unlink(missing_ok=True)
            sync_directory(self._directory)

    def set_aside(self) -> None:
        """Keep all but the receipt in a directory of its own, out of the way of those who read the
        recording."""
        kept = self._receipt
        with disk_errors():
            (self._directory / form.KEPT).unlink(missing_ok=True)  # of an attempt before
            paths = [path for path in self._directory.iterdir() if path.is_file() and path.name not in kept]
            if not paths:  # set aside before, and perhaps given up since
                return
            aside = self._directory / form.ASIDE
            aside.mkdir(mode=0o750, exist_ok=True)
            for path in paths:
                path.replace(aside / path.name)
            sync_directory(aside)
            sync_directory(self._directory)

    def remove(self) -> None:
        """Remove the receipt too, upload.json last, and the directory; nothing where something is set
        aside."""
        with disk_errors():
            if (self._directory / form.ASIDE).exists():
                return
            remove_flat_directory(self._directory, last=form.UPLOAD)

    def close(self) -> None:
        """Give up the lock. May be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1
