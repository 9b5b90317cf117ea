"""Files of a directory store: where they stand, and how one gets its name. Blocking; called from threads."""

import asyncio
import errno
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from storage.errors import CHANGED, DENIED, FAILED, FULL, OBJECT_MISSING, store_error
from storage.keys import RESERVED_SEGMENT, check_key, is_key
from storage.spool.durable_files import sync_directory, write_atomic, write_fully
from storage.store import ObjectInfo, ObjectProperties

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)

_CODES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.ENOENT: OBJECT_MISSING,
    errno.ENOTDIR: OBJECT_MISSING,
    errno.EISDIR: OBJECT_MISSING,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.EROFS: DENIED,
}


@contextmanager
def directory_errors(place: Path | None = None) -> Iterator[None]:
    """Turn what the file system refuses into the errors of storage.errors; `place` is named to who set it."""
    try:
        yield
    except OSError as error:
        raise _directory_error(error, place) from error


def _directory_error(error: OSError, place: Path | None) -> BystanderError:
    name = errno.errorcode.get(error.errno or 0)
    code = _CODES.get(error.errno or 0, FAILED)
    if code == DENIED:
        where = "" if place is None else f" {place}"
        detail = f"The storage's directory{where} may not be read or written by this user: {name}."
    elif place is not None and (code == OBJECT_MISSING or isinstance(error, FileExistsError)):
        detail = f"The storage's directory {place} is not there, and cannot be made: {name}."
    else:
        return store_error(code, name)
    return BystanderError(code, detail, fault=Fault.DESTINATION, status=503)


UNFINISHED_S_MAX = 24 * 3600  # no write of a small object takes a day


async def in_thread(
    call: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
) -> _Result:
    """Run a blocking call in a thread, with `directory_errors` around it."""
    with directory_errors():
        return await asyncio.to_thread(call, *args, **kwargs)


class LocalFiles:
    """Where things lie under the base directory, and how a file gets its name. Blocking."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.hidden = base / RESERVED_SEGMENT
        self._expected: str | None = None  # the mark without which this is another directory

    # --- identity --------------------------------------------------------------------------------------
    def put_mark(self, identity: str) -> None:
        """Make this the directory of that identity."""
        make_directories(self._mark(identity).parent)
        write_atomic(self._mark(identity), b"{}")

    def has_mark(self, identity: str) -> bool:
        """Whether it is."""
        return self._mark(identity).exists()

    def expect_mark(self, identity: str) -> None:
        """Do nothing without it from now on."""
        self._expected = identity

    def check_mark(self) -> None:
        """Raises store_changed where the directory is not the one that was written into."""
        if self._expected is not None and not self.has_mark(self._expected):
            raise store_error(CHANGED, f"{self.base} has lost {self._mark(self._expected).name}")

    def _mark(self, identity: str) -> Path:
        return self.hidden / "stores" / identity

    # --- objects ---------------------------------------------------------------------------------------

    def path(self, key: str) -> Path:
        """The file of an object."""
        return self.base / check_key(key)

    def publish(self, file: Path, key: str, properties: ObjectProperties) -> ObjectInfo:
        """Give a whole, synced file its name in the store; the last step of every way to an object."""
        self._write_new(self._properties(key), msgspec.json.encode(properties))
        path = self.path(key)
        make_directories(path.parent)
        file.replace(path)
        file.unlink(missing_ok=True)  # rename(2) leaves it when both names are of one file already
        sync_directory(path.parent)
        return self.info(key)

    def sweep(self, now: float) -> None:
        """Remove what a crash left unfinished long ago; `now` in seconds since 1970."""
        for path in (self.hidden / "new").glob("*"):
            with suppress(FileNotFoundError):  # swept by another process
                if now - path.lstat().st_ctime > UNFINISHED_S_MAX:
                    path.unlink()

    def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        """Write an object whole."""
        return self.publish(self._new(data), key, properties)

    def shares_disk_with(self, file: Path) -> bool:
        """Whether a file can have a second name here: tried, since bind mounts and quotas cannot be seen."""
        trial = self._unnamed()
        try:
            trial.hardlink_to(file)
        except OSError:
            return False
        trial.unlink()
        return True

    def adopt(self, file: Path, key: str, properties: ObjectProperties) -> ObjectInfo:
        """Give a finished file a second name, that of the object."""
        second = self._unnamed()
        second.hardlink_to(file)
        return self.publish(second, key, properties)

    def info(self, key: str) -> ObjectInfo:
        """What `head` says; OSError when there is no such file."""
        path = self.path(key)
        try:
            found = path.stat()
        except FileNotFoundError:
            self.check_mark()
            raise
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "not a file")
        try:
            properties = msgspec.json.decode(self._properties(key).read_bytes(), type=ObjectProperties)
        except FileNotFoundError:
            properties = ObjectProperties()  # somebody put the file there by hand
        except (msgspec.DecodeError, ValueError) as error:
            _log.error("what is kept of %s cannot be read: %s", key, type(error).__name__)
            properties = ObjectProperties()
        return ObjectInfo(key, found.st_size, etag(found), properties.content_type, properties.metadata)

    def delete(self, key: str) -> None:
        """Remove an object, and directories that are empty without it."""
        self.check_mark()
        path = self.path(key)
        for file, top in ((path, self.base), (self._properties(key), self.hidden)):
            file.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or not there
                for parent in file.relative_to(top).parents[:-1]:
                    (top / parent).rmdir()

    def keys(self, prefix: str) -> list[str]:
        """Every object's key that begins with `prefix`, sorted."""
        self.check_mark()
        found = []
        top = self.base / prefix.rpartition("/")[0]
        for directory, directories, files in os.walk(top):
            here = Path(directory).relative_to(self.base)
            if here == Path():
                directories[:] = [name for name in directories if name != RESERVED_SEGMENT]
            found += [key for name in files if (key := (here / name).as_posix()).startswith(prefix)]
        return sorted(key for key in found if is_key(key))

    def _properties(self, key: str) -> Path:
        return self.hidden / "properties" / (check_key(key) + ".json")

    def _unnamed(self) -> Path:
        self.check_mark()
        directory = self.hidden / "new"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / uuid.uuid4().hex

    def _new(self, data: bytes) -> Path:
        path = self._unnamed()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            write_fully(fd, data, 0)
            os.fsync(fd)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(fd)
        return path

    def _write_new(self, path: Path, data: bytes) -> None:
        make_directories(path.parent)
        self._new(data).replace(path)


def make_directories(directory: Path) -> None:
    """Make a directory and its parents, with durable names."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_directory(path.parent)


def etag(found: os.stat_result) -> str:
    """Changes whenever the file is another one or was written to."""
    return f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
