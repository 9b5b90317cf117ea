"""The path of a worker's socket: one Unix socket for each recording, for this user only.

A socket's path may have 107 bytes (sockaddr_un). Where the run directory's is longer, the directory is opened
and the socket is reached through /proc/self/fd, so it still stands where a restarted server looks for it.
"""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.worker.server import BACKLOG

SOCKET_PATH_BYTES_MAX = 107  # sun_path has 108 with its terminator
SUFFIX = ".sock"
_CREDENTIALS = struct.Struct("3i")  # process, user, group


def socket_path(run: Path, recording: str) -> Path:
    """Where the worker of this recording listens."""
    return run / f"{recording}{SUFFIX}"


def listed(run: Path) -> list[str]:
    """The recordings that have a socket in the run directory, whether or not somebody listens on it."""
    return sorted(
        path.name.removesuffix(SUFFIX)
        for path in run.glob(f"*{SUFFIX}")
        if stat.S_ISSOCK(path.stat().st_mode)
    )


def listen(path: Path) -> socket.socket:
    """Bind, with mode 0600, and listen; a dead worker's socket at this place is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(path) as address:
            listener.bind(address)
        path.chmod(0o600)  # before listen: nobody can have connected yet
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def connect(path: Path) -> socket.socket:
    """Connect to a worker; OSError when nobody listens. Unix sockets connect at once or not at all."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        with _reachable(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> int:
    """The process that listens at the other end: who last called listen() on its socket (unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address for `path` that fits into sockaddr_un."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
