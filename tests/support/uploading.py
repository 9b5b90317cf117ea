"""An uploader with everything that a server gives its own, so that players take what it ships."""

from pathlib import Path

from media.isobmff.progressive.movie import ProgressiveMovie
from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.kernel.clock import Clock, SystemClock
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader


def uploader_of(
    store: ObjectStore,
    root: Path,
    settings: StorageSettings,
    *,
    clock: Clock | None = None,
    lease: NodeLease | None = None,
    replaces_parts: bool = False,
) -> Uploader:
    """Of the spools under `root`; without a `lease` the bucket alone completes nothing."""
    return Uploader(
        store,
        root,
        clock or SystemClock(),
        settings,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
        make_movie=ProgressiveMovie,
        lease=lease,
        replaces_parts=replaces_parts,
    )
