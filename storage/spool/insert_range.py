"""Room at the front of a spool's media, made without copying: the file system renumbers the file's blocks.

Linux's FALLOC_FL_INSERT_RANGE (fallocate(2); ext4, XFS, F2FS) takes as long as the file has extents: 12 ms
for 43,200 of them, a day of two-second appends that never lay side by side. Other file systems refuse it.

Whoever reads the media has to know how far the fragments were moved, also while the file's last name is being
removed. So that is kept with the file itself, in an attribute written before the blocks are moved, together
with the size that the file has once they are; a lock keeps reading and moving apart.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

STEP_BYTES = 64 * 1024  # a multiple of every block size of these file systems, so that it can be inserted
_ATTRIBUTE = "user.bystander.moved"  # "<by> <size of the file once moved>"
_COLLAPSE_RANGE, _INSERT_RANGE = 0x08, 0x20  # linux/falloc.h
_NO_ATTRIBUTE = (errno.ENODATA, errno.ENOTSUP)

_libc = ctypes.CDLL(None, use_errno=True)
_call = getattr(_libc, "fallocate64", None) or _libc.fallocate  # musl has only the one, with 64 bits
_call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def moved_by(media: int) -> int:
    """How many bytes the fragments were moved towards the end of the file; under `at_rest` or `moving`."""
    try:
        by, size = map(int, os.getxattr(media, _ATTRIBUTE).split())
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return 0
        raise
    return by if os.fstat(media).st_size == size else 0


def move(media: int, by: int) -> None:
    """Insert `by` bytes, a multiple of STEP_BYTES, at the front; OSError, and nothing done, if refused."""
    size = os.fstat(media).st_size
    os.setxattr(media, _ATTRIBUTE, f"{by} {size + by}".encode())
    _fallocate(media, _INSERT_RANGE, by)


def move_back(media: int) -> None:
    """Undo `move`, whether it was done or not."""
    by = moved_by(media)
    if by:
        _fallocate(media, _COLLAPSE_RANGE, by)


@contextmanager
def at_rest(media: int) -> Iterator[None]:
    """While inside, nobody moves what is read. Waits for who does, a few milliseconds."""
    fcntl.flock(media, fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(media, fcntl.LOCK_UN)


@contextmanager
def moving(media: int) -> Iterator[None]:
    """While inside, nobody reads. Waits for the end of each read, of at most a part."""
    fcntl.flock(media, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(media, fcntl.LOCK_UN)


def _fallocate(fd: int, mode: int, length: int) -> None:
    if _call(fd, mode, 0, length) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
