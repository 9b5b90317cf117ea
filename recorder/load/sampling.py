"""Samples of what a server and the publishers take, while calls are held."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import psutil

EVERY_S = 1.0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look: cores since the one before, memory (PSS) now; those of workers are of all recordings."""

    at_s: float
    calls: int
    server_cores: float = 0.0
    server_bytes: int = 0
    worker_cores: float = 0.0
    worker_bytes: int = 0
    workers: int = 0
    publisher_cores: float = 0.0
    machine_busy: float = 0.0  # of all cores of this host, whoever used them: 0 to 1


@dataclass
class Sampler:
    """Looks at processes of this host once a second; `server` is None where it runs elsewhere."""

    server: int | None
    publishers: Callable[[], Iterable[int]]
    calls: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)
    _before: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        began = last = time.monotonic()
        while True:
            await asyncio.sleep(EVERY_S)
            now = time.monotonic()
            self.samples.append(await asyncio.to_thread(self._look, now - began, now - last))
            last = now

    def _look(self, at_s: float, passed_s: float) -> Sample:
        server = [] if self.server is None else [self.server]
        workers = _children(server)
        now = _cpu_seconds([*server, *workers, *self.publishers()])
        used = {pid: max(0.0, cpu - self._before.get(pid, cpu)) / passed_s for pid, cpu in now.items()}
        self._before = now
        return Sample(
            at_s=at_s,
            calls=self.calls(),
            server_cores=sum(used.get(pid, 0.0) for pid in server),
            server_bytes=_memory(server),
            worker_cores=sum(used.get(pid, 0.0) for pid in workers),
            worker_bytes=_memory(workers),
            workers=len(workers),
            machine_busy=psutil.cpu_percent() / 100,
            publisher_cores=sum(used.get(pid, 0.0) for pid in self.publishers()),
        )


def _children(server: list[int]) -> list[int]:
    found = []
    for pid in server:
        with contextlib.suppress(psutil.Error):
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return found


def _cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    used = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            used[pid] = times.user + times.system
    return used


def _memory(pids: Iterable[int]) -> int:
    taken = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            taken += psutil.Process(pid).memory_full_info().pss
    return taken
