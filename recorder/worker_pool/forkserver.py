"""Worker processes: forked, in some 30 ms, from a server process that has imported everything already.

The forkserver (recorder.worker.forkserver) imports av, aiortc and the media engine once. A worker is a fork
of it: it shares that memory, owns no event loop or thread of the server, sees nothing of its environment, and
outlives both the server and the forkserver.
"""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from recorder.worker.forkserver import ANSWER, ORDER_BYTES_MAX, READY, STATUS, Target
from recorder.worker_pool.socket_path import listen

PRELOAD = ("recorder.worker.preload",)

# All that a worker's environment holds. One thread each: workers are the parallelism, and threads that exist
# before a fork are lost in the child.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

WARM_UP_S_MAX = 60.0  # importing everything takes 1 s on a good machine, and much more on a cold, small one
FORK_S_MAX = 10.0  # a fork takes milliseconds, also where memory is short
EXIT_STATUS_S_MAX = 1.0  # the forkserver hears of a death when everybody does
CLOSE_S_MAX = 5.0

_PROGRAM = (
    "import json, sys; facts = json.loads(sys.argv[1]); sys.path[:] = facts['path'];"
    "from recorder.worker.forkserver import main; main(facts['channel'], facts['target'], facts['preload'])"
)


class Forkserver:
    """Starts worker processes. All methods block; they are called from threads.

    `target` is what a worker runs, with its order (bytes) and its listening socket: a function of a module.
    """

    def __init__(self, target: Target, *, preload: Sequence[str] = PRELOAD) -> None:
        self._target = f"{target.__module__}:{target.__qualname__}"
        self._preload = tuple(preload)
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket
        self._exit_statuses: dict[int, int] = {}  # by process: the pipe on which it will be told

    def warm_up(self) -> None:
        """Start the forkserver and wait until it has imported everything; BystanderError when it cannot."""
        with self._one_at_a_time:
            self._ensure_running()

    def launch(self, order: bytes, socket_path: Path) -> int:
        """Start a worker that listens at `socket_path`; returns its process id.

        The socket is bound here and handed over, so it can be connected to as soon as this returns.
        """
        if len(order) > ORDER_BYTES_MAX:
            raise _cannot_launch("A worker's order is too long.")
        with self._one_at_a_time:
            try:
                with listen(socket_path) as listener:
                    return self._fork_surely(order, listener)
            except OSError as error:
                socket_path.unlink(missing_ok=True)
                raise _cannot_launch(f"No worker could be started ({type(error).__name__}).") from error

    def exit_code(self, pid: int) -> int | None:
        """How a worker that has ended did: its exit code, or its signal, negative; asked once.

        None: this forkserver did not start it, or did not live to see it end.
        """
        pipe = self._exit_statuses.pop(pid, None)
        if pipe is None:
            return None
        try:
            if not select.select([pipe], [], [], EXIT_STATUS_S_MAX)[0]:
                return None
            told = os.read(pipe, STATUS.size)
        finally:
            os.close(pipe)
        return os.waitstatus_to_exitcode(STATUS.unpack(told)[0]) if len(told) == STATUS.size else None

    def close(self) -> None:
        """Let go of every worker: they may go on."""
        with self._one_at_a_time:
            self._end()
            for pipe in self._exit_statuses.values():
                os.close(pipe)
            self._exit_statuses.clear()

    def _ensure_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        facts = {
            "path": sys.path,
            "channel": theirs.fileno(),
            "target": self._target,
            "preload": self._preload,
        }
        with theirs:
            self._channel = ours
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, json.dumps(facts)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            ready = self._answer(WARM_UP_S_MAX) == READY
        except ConnectionError:
            ready = False
        if not ready:
            self._process.kill()
            raise _cannot_launch("The worker forkserver does not start.")

    def _fork_surely(self, order: bytes, listener: socket.socket) -> int:
        self._ensure_running()
        try:
            return self._fork(order, listener)
        except ConnectionError:  # it died since; another will do, once
            self._end()
            self._ensure_running()
            return self._fork(order, listener)

    def _fork(self, order: bytes, listener: socket.socket) -> int:
        status_read, status_write = os.pipe2(os.O_CLOEXEC)
        try:
            socket.send_fds(self._channel, [order], [listener.fileno(), status_write])
        except OSError:
            os.close(status_read)
            raise
        finally:
            os.close(status_write)
        try:
            pid = self._answer(FORK_S_MAX)
            if pid is None or pid < 0:
                raise OSError(-(pid or 0), "the forkserver does not fork")
        except OSError:
            os.close(status_read)
            raise
        self._exit_statuses[pid] = status_read
        return pid

    def _answer(self, timeout_s: float) -> int | None:
        if not select.select([self._channel], [], [], timeout_s)[0]:
            return None
        answer = self._channel.recv(ANSWER.size)
        if not answer:
            raise ConnectionResetError("the forkserver has ended")
        return int(ANSWER.unpack(answer)[0])

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._channel.close()
        try:
            process.wait(CLOSE_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cannot_launch(detail: str) -> BystanderError:
    return BystanderError("worker_not_launched", detail, fault=Fault.RESOURCE, status=503)
