"""The server's data directory, and the secrets that are made in it at the first start.

api-key         the API key alone, mode 0600 (unless one is configured)
secret          what entry points and links are derived from, mode 0600
bystander.db    the database (unless one is configured)
spool/          recordings that are not yet in the store
files/          what was received of files that are not yet in the store
run/            the workers' sockets
installation    who may complete this server's uploads, unless storage.installation says so
audit-head      the newest entry of the audit log that this node wrote
node            which node of the installation this is
recordings/     the local store (unless another is configured)
lock            held by the one server that works in here
"""

import fcntl
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.ids import new_secret
from recorder.node.entry_point_secrets import SECRET_BYTES

OTHERS = stat.S_IRWXG | stat.S_IRWXO  # who are not us
IDENTITY_BYTES = 8  # of the random names of installations and nodes


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Opened, complete, and ours alone for as long as the process lives. Paths are absolute."""

    root: Path
    lock: int  # a descriptor; the kernel gives the lock up with the process

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def database(self) -> Path:
        return self.root / "bystander.db"

    @property
    def api_key_file(self) -> Path:
        return self.root / "api-key"

    def api_key(self) -> str:
        """The key of this server; made when there is none."""
        return _kept(self.api_key_file, new_secret())

    def installation(self) -> str:
        """What this installation is called in the bucket, unless it has a configured name."""
        return _kept(self.root / "installation", secrets.token_hex(IDENTITY_BYTES))

    def node(self) -> str:
        """What this data directory is called in the bucket and in the database."""
        return _kept(self.root / "node", secrets.token_hex(IDENTITY_BYTES))

    def secret(self) -> bytes:
        """What this server derives secrets from; made when there is none."""
        file = self.root / "secret"
        try:
            kept = bytes.fromhex(_kept(file, secrets.token_hex(SECRET_BYTES)))
        except ValueError:
            kept = b""
        if len(kept) < SECRET_BYTES:
            raise BystanderError(
                "secret_unusable",
                f"{file} is damaged: restore it. Links and entry points are derived from it.",
                fault=Fault.RESOURCE,
                status=500,
            )
        return kept


def open_data_directory(path: Path) -> DataDirectory:
    """Make what is missing and take the lock; data_dir_unusable, data_dir_in_use."""
    root = path.absolute()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)  # conversations are nobody else's business
        for name in ("spool", "run"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
        _tighten(root)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BystanderError(
            "data_dir_unusable",
            f"The data directory {root} cannot be used: {error.strerror}.",
            fault=Fault.RESOURCE,
            status=500,
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BystanderError(
            "data_dir_in_use",
            f"Another server works in the data directory {root}.",
            fault=Fault.RESOURCE,
            status=500,
        ) from None
    return DataDirectory(root, lock)


def _tighten(root: Path) -> None:
    """Take away what others may do with a directory that was there before, and with what lies in it.

    What lies deeper stands behind the directory that is tightened here.
    """
    if stat.S_IMODE(root.stat().st_mode) & OTHERS:
        root.chmod(stat.S_IMODE(root.stat().st_mode) & ~OTHERS)
    for file in root.iterdir():
        if file.is_file() and not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) & OTHERS:
            file.chmod(stat.S_IMODE(file.stat().st_mode) & ~OTHERS)


def node_of(root: Path) -> str | None:
    """What a data directory is called, also while a server works in it; None before one did. Blocking."""
    file = root / "node"
    return file.read_text().strip() if file.exists() else None


def _kept(file: Path, fresh: str) -> str:
    """The secret in a file; `fresh` is written there, for this user only, when there is none.

    The caller holds the directory's lock. A crash leaves the whole file or none.
    """
    if file.exists():
        return file.read_text().strip()
    beside = file.with_name(file.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(fresh)
        opened.flush()
        os.fsync(descriptor)
    beside.replace(file)
    return fresh
