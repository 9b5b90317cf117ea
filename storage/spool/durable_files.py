"""Small durable files: atomic replacement, reserved blocks, locks; and what the disk's errors mean.

Everything here blocks and is called from threads, never from an event loop.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk refuses into disk_full (507) or disk_failed (500)."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def disk_error(error: OSError) -> BystanderError:
    """The error that the rest of Bystander knows a refusing disk by."""
    if error.errno in _FULL:
        return BystanderError("disk_full", "The disk is full.", fault=Fault.DESTINATION, status=507)
    if error.errno == errno.EFBIG:
        return BystanderError(
            "file_too_large", "The file system takes no larger file.", fault=Fault.DESTINATION, status=507
        )
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return BystanderError(
        "disk_failed", f"The disk refused an operation ({name}).", fault=Fault.DESTINATION, status=500
    )


def write_fully(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`; OSError when the disk takes only some of it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        if written == 0:
            raise OSError(errno.EIO, "the disk took nothing")
        view, offset = view[written:], offset + written


def sync_directory(directory: Path) -> None:
    """Make names that were created, replaced or removed in `directory` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` so that after any crash it holds either all of the old bytes or all of the new."""
    beside = path.with_name(path.name + ".new")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            write_fully(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def reserve(path: Path, size_bytes: int) -> None:
    """Make a file whose blocks are allocated, so that they are there when the disk is full."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o640)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_into_reserve(reserve_path: Path, path: Path, data: bytes) -> None:
    """Like write_atomic, into blocks that `reserve` allocated: no other writer can take them first."""
    try:
        fd = os.open(reserve_path, os.O_WRONLY)
    except FileNotFoundError:
        write_atomic(path, data)  # the reserve was given up earlier; there may be room all the same
        return
    try:
        write_fully(fd, data, 0)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
    reserve_path.replace(path)
    sync_directory(path.parent)


def lock(path: Path) -> int | None:
    """Take the exclusive lock of `path`; None when another process holds it.

    The lock lives as long as the returned descriptor: the kernel gives it up when its process dies.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def remove_flat_directory(directory: Path, *, last: str | None = None) -> None:
    """Remove a directory of plain files, if it is there; the file named `last` as the last of them."""
    with suppress(FileNotFoundError):
        for entry in sorted(directory.iterdir(), key=lambda entry: entry.name == last):
            entry.unlink(missing_ok=True)
        directory.rmdir()
        sync_directory(directory.parent)
