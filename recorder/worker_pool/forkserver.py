"""Worker processes: forked, in some 30 ms, from a server process that has imported everything already.

The forkserver imports av, aiortc and the media engine once. A worker is a fork of it: it shares that memory,
owns no event loop or thread of the server, and outlives both the server and the forkserver.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from recorder.worker_pool.socket_path import listen

PRELOAD = ("recorder.worker.preload",)

# One thread each: workers are the parallelism, and threads that exist before a fork are lost in the child.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

WARM_UP_S_MAX = 60.0  # importing everything takes 1 s on a good machine, and much more on a cold, small one

Target = Callable[[bytes, socket.socket], None]


class Forkserver:
    """Starts worker processes. All methods block; they are called from a thread.

    `target` is what a worker runs, with its order (bytes) and its listening socket.
    """

    def __init__(self, target: Target, *, preload: Sequence[str] = PRELOAD) -> None:
        self._target = target
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._processes: dict[int, ForkServerProcess] = {}

    def warm_up(self) -> None:
        """Start the forkserver and wait until it has imported everything; BystanderError when it cannot."""
        for name in THREADS:
            os.environ.setdefault(name, "1")
        process = self._context.Process(target=_nothing, name="warm-up")
        try:
            process.start()
        except (OSError, EOFError) as error:
            raise _cannot_launch("The worker forkserver does not start.") from error
        process.join(WARM_UP_S_MAX)
        if process.exitcode != 0:
            process.kill()
            raise _cannot_launch("The worker forkserver does not start.")
        process.close()

    def launch(self, order: bytes, socket_path: Path) -> int:
        """Start a worker that listens at `socket_path`; returns its process id.

        The socket is bound here and handed over, so it can be connected to as soon as this returns.
        """
        self._forget_dead()
        try:
            with listen(socket_path) as listener:
                process = self._context.Process(target=self._target, args=(order, listener), name="worker")
                process.start()
        except (OSError, EOFError) as error:
            socket_path.unlink(missing_ok=True)
            raise _cannot_launch(f"No worker could be started ({type(error).__name__}).") from error
        if process.pid is None:
            raise _cannot_launch("The forkserver gave no process.")
        self._processes[process.pid] = process
        return process.pid

    def close(self) -> None:
        """Let go of every worker. multiprocessing would join them when the server exits; they may go on."""
        for process in self._processes.values():
            _let_go(process)
        self._processes.clear()

    def _forget_dead(self) -> None:
        for pid, process in list(self._processes.items()):
            if process.exitcode is not None:
                process.close()
                del self._processes[pid]


def _nothing() -> None:
    """The first child: proves that the forkserver forks, and waits for its imports."""


def _let_go(process: ForkServerProcess) -> None:
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]


def _cannot_launch(detail: str) -> BystanderError:
    return BystanderError("worker_not_launched", detail, fault=Fault.RESOURCE, status=503)
