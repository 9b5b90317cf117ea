"""What somebody would try who had taken over a worker: done from inside one, on what a test names."""

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

DONE = "done"


def _read(what: str) -> None:
    Path(what).read_bytes()


def _write(what: str) -> None:
    Path(what).write_bytes(b"x")


def _list(what: str) -> None:
    list(Path(what).iterdir())


def _execute(what: str) -> None:
    os.execv(what, [what])  # nothing of the process would be left


def _fork(what: str) -> None:
    if os.fork() == 0:
        os._exit(0)


def _signal(what: str) -> None:
    os.kill(int(what), signal.SIGCONT)


def _connect_tcp(what: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect(("127.0.0.1", int(what)))


def _connect_unix(what: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(what)


def _raw_socket(what: str) -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def _datagram(what: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.sendto(b"x", ("127.0.0.1", int(what)))


def _become_root_again(what: str) -> None:
    os.setresuid(0, 0, 0)
    Path("/proc/sys/kernel/hostname").read_bytes()


def _trace(what: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(what), None, None) < 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def _mount(what: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", what.encode(), b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def _allocate(what: str) -> None:
    bytearray(int(what))


def _environment(what: str) -> None:
    if any(what in value for value in os.environ.values()):
        return
    raise PermissionError(errno.EPERM, "there is no such value")


ATTEMPTS: dict[str, Callable[[str], None]] = {
    attempt.__name__.strip("_"): attempt
    for attempt in (
        _read,
        _write,
        _list,
        _execute,
        _fork,
        _signal,
        _connect_tcp,
        _connect_unix,
        _raw_socket,
        _datagram,
        _become_root_again,
        _trace,
        _mount,
        _allocate,
        _environment,
    )
}


def outcome(attempt: str, what: str) -> str:
    """DONE, or what kept it from being done."""
    try:
        ATTEMPTS[attempt](what)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except MemoryError:
        return "ENOMEM"
    return DONE
