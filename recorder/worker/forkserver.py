"""The forkserver: a process that has imported everything, and forks a worker of itself for each order.

It has one thread, an empty environment and a session of its own, and ends when its parent lets go of the
channel: a Unix socket that keeps message boundaries. A request is an order with two descriptors beside it,
the worker's listening socket and a pipe for its exit status. The answer is one number: the worker's process
id, or an errno, negative.
"""

import errno
import importlib
import logging
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Sequence

ORDER_BYTES_MAX = 64 * 1024  # a plan of a few hundred bytes, and perhaps many TURN servers
ANSWER = struct.Struct("!q")
STATUS = struct.Struct("!i")  # as waitpid gives it
READY = 0  # the first answer, to no request: all is imported
_SIGNALS_READ_MAX = 512

Target = Callable[[bytes, socket.socket], None]


def main(channel: int, target: str, preload: Sequence[str]) -> None:
    """Import, then fork `target` ("module:function") for every order until the channel is closed."""
    for name in preload:
        importlib.import_module(name)
    module, _, function = target.partition(":")
    with socket.socket(fileno=channel) as connection:
        Nursery(connection, getattr(importlib.import_module(module), function)).run()


class Nursery:
    """The workers of one forkserver, and the pipes on which their ends are told."""

    def __init__(self, channel: socket.socket, target: Target) -> None:
        self._channel = channel
        self._target = target
        self._status_pipes: dict[int, int] = {}
        self._signalled, self._signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Return when the parent has let go of the channel."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, _wake_up)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        self._channel.send(ANSWER.pack(READY))
        while True:
            readable = select.select([self._channel.fileno(), self._signalled], [], [])[0]
            if self._signalled in readable:
                os.read(self._signalled, _SIGNALS_READ_MAX)
                self._tell_of_the_dead()
            if self._channel.fileno() in readable and not self._serve():
                return

    def _serve(self) -> bool:
        order, descriptors, _, _ = socket.recv_fds(self._channel, ORDER_BYTES_MAX, 2)
        if not order:
            return False
        listener, status_pipe = descriptors
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid == 0:
            self._become_a_worker(order, listener, status_pipe)
        os.close(listener)
        if pid > 0:
            self._status_pipes[pid] = status_pipe
        else:
            os.close(status_pipe)
        self._channel.send(ANSWER.pack(pid))
        return True

    def _become_a_worker(self, order: bytes, listener: int, status_pipe: int) -> None:
        """Never returns; what the forkserver has open is closed, and what is at its exit is not run."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            for descriptor in (self._signalled, self._signals, status_pipe, *self._status_pipes.values()):
                os.close(descriptor)
            self._target(order, socket.socket(fileno=listener))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            logging.getLogger(__name__).exception("a worker ended with a defect")
        finally:
            os._exit(status)

    def _tell_of_the_dead(self) -> None:
        while self._status_pipes:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            pipe = self._status_pipes.pop(pid, None)
            if pipe is not None:
                _write_status(pipe, status)


def _write_status(pipe: int, status: int) -> None:
    try:
        os.write(pipe, STATUS.pack(status))
    except BrokenPipeError:
        pass  # nobody wants to know any more
    finally:
        os.close(pipe)


def _wake_up(number: int, frame: object) -> None:
    """Exists so that SIGCHLD writes to the wake-up descriptor."""
