"""A real `bystander serve` in a process of its own, and what is left of it afterwards."""

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

START_S_MAX = 60.0  # a cold machine imports everything twice: in the server and in its forkserver
STOP_S_MAX = 60.0
LOGGED_S_MAX = 60.0  # a start waits 15 s for a store, and asks again after 10 s
LOOK_S = 0.05  # between two looks at a log
_READY = re.compile(r"bystander: listening on (\S+)")


@dataclass
class RunningServer:
    """A server that takes requests. `log` is where its stderr, and its workers', goes."""

    base_url: str
    api_key: str
    pid: int
    data_dir: Path
    log: Path
    process: "subprocess.Popen[bytes]" = field(repr=False)
    may_fail: bool = False  # a test that kills the server says so

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def workers(self) -> list[int]:
        """The process ids of running workers, which are those that listen in the run directory."""
        return workers_of(self.data_dir)

    def logged(self, sentence: str) -> int:
        """How many lines of the log say this."""
        return sum(sentence in line for line in self.log.read_text().splitlines())

    async def until_logged(self, sentence: str, times: int = 1) -> None:
        """Wait until so many lines of the log say this."""
        async with asyncio.timeout(LOGGED_S_MAX):
            while await asyncio.to_thread(self.logged, sentence) < times:  # noqa: ASYNC110 - a file of another process
                await asyncio.sleep(LOOK_S)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)

    def kill(self) -> None:
        """kill -9."""
        self.may_fail = True
        self.process.kill()
        self.process.wait(STOP_S_MAX)


@contextmanager
def running_server(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    command: str = "recorder",
    python: str = sys.executable,
    prefix: Sequence[str] = (),
) -> Iterator[RunningServer]:
    """Serve on a free port; afterwards SIGTERM has to give exit code 0 and leave no worker."""
    server = start_server(data_dir, settings=settings, command=command, python=python, prefix=prefix)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        leftover = server.workers()
        for pid in leftover:
            os.kill(pid, signal.SIGKILL)
    if not server.may_fail:
        assert server.process.returncode == 0, server.log.read_text()
        assert leftover == [], server.log.read_text()


def start_server(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    command: str = "recorder",
    port: int = 0,
    python: str = sys.executable,
    release: Path | None = None,
    prefix: Sequence[str] = (),
) -> RunningServer:
    """Start `python -m <command> serve` on the defaults and `settings` alone; returns once it listens.

    `release` is another tree than this one; `prefix` is what it is run by, as in a network namespace.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    config = data_dir / "bystander.toml"
    config.touch()  # or the one of the current directory would count, which is a developer's own
    options = ["--port", str(port), "--data-dir", str(data_dir), "--config", str(config)]
    log = data_dir / "server.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [*prefix, python, "-m", command, "serve", *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,  # so that select tells of every line
            cwd=release,
            env={**os.environ, **(settings or {})},
        )
    base_url = _ready(process, log)
    key = (data_dir / "api-key").read_text()
    return RunningServer(base_url, key, process.pid, data_dir, log, process)


def workers_of(data_dir: Path) -> list[int]:
    """Processes, whoever started them, that hold a listening socket in this run directory."""
    run = str(data_dir.absolute() / "run")
    found = []
    for process in psutil.process_iter(["pid"]):
        try:
            sockets = process.net_connections("unix")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if any(str(socket.laddr).startswith(run) and socket.status == "NONE" for socket in sockets):
            found.append(process.pid)
    return found


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
            break
        line = process.stdout.readline()
        if match := _READY.match(line.decode()):
            return match[1]
        if not line:
            break
    process.kill()
    raise AssertionError(f"the server does not listen: {log.read_text()}")
