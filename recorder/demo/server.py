"""A real `bystander serve` as a child process, for whoever wants to call it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_START_S_MAX = 30.0
_DRAIN_S_MAX = 60.0
_LISTENING = "bystander: listening on "


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server: where it listens, the key to its API, its process id and data directory."""

    url: str
    api_key: str
    pid: int
    data_dir: Path

    def cpu_seconds(self) -> dict[int, float]:
        """User and system seconds so far of the server and everything it started, by process id."""
        used = {}
        server = psutil.Process(self.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used[process.pid] = times.user + times.system
        return used


@contextlib.asynccontextmanager
async def serving(data_dir: Path, *, port: int = 0, settings: dict[str, str]) -> AsyncIterator[ServerProcess]:
    """Start a server on 127.0.0.1 (`port` 0: any free one), end it by SIGTERM afterwards.

    `settings` are BYSTANDER_SECTION__KEY variables. RuntimeError when it does not start or does not end well.
    """
    command = [sys.executable, "-m", "recorder", "serve", "--port", str(port), "--data-dir", str(data_dir)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **settings}
    )
    assert process.stdout is not None
    try:
        url = await asyncio.wait_for(_listening(process.stdout), _START_S_MAX)
        reading = asyncio.create_task(_drain(process.stdout))
        key = (data_dir / "api-key").read_text().strip()
        yield ServerProcess(url=url, api_key=key, pid=process.pid, data_dir=data_dir)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), _DRAIN_S_MAX)
    await reading
    if code != 0:
        raise RuntimeError(f"the server ended with exit code {code}")


async def _listening(stdout: asyncio.StreamReader) -> str:
    while line := (await stdout.readline()).decode():
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).split()[0]
    raise RuntimeError("the server ended before it listened")


async def _drain(stdout: asyncio.StreamReader) -> None:
    while await stdout.readline():
        pass
