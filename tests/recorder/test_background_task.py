"""Tasks beside requests: begun again when they end, and readiness says when they do not run."""

import asyncio

import pytest

from recorder.kernel.errors import BystanderError
from recorder.node.background_task import RESTART_DELAY_S_FIRST, RESTART_DELAY_S_MAX, BackgroundTask

WAIT_S = 10.0


class Waits:
    """A sleep that ends when a test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.begun.set()
        await self.over.wait()


async def test_a_defect_is_not_ready_until_it_runs_again() -> None:
    waits, runs = Waits(), 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("a defect")
        again.set()
        await asyncio.Event().wait()

    task = BackgroundTask("looking", work, sleep=waits.sleep)
    with pytest.raises(BystanderError, match="task_stopped"):
        await task.check()
    task.start()
    async with asyncio.timeout(WAIT_S):
        await waits.begun.wait()
        with pytest.raises(BystanderError, match="task_stopped"):
            await task.check()
        waits.over.set()
        await again.wait()
        await task.check()
        await task.stop()


async def test_it_is_begun_later_and_later() -> None:
    waits = Waits()
    waits.over.set()
    enough = asyncio.Event()

    async def work() -> None:
        if len(waits.asked) == 8:
            enough.set()
            await asyncio.Event().wait()

    task = BackgroundTask("looking", work, sleep=waits.sleep)
    task.start()
    async with asyncio.timeout(WAIT_S):
        await enough.wait()
        await task.stop()
    assert waits.asked[0] == RESTART_DELAY_S_FIRST and waits.asked[-1] == RESTART_DELAY_S_MAX
    assert waits.asked == sorted(waits.asked)


async def test_one_that_ends_when_asked_to_is_not_cancelled() -> None:
    asked, ended = asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        await asked.wait()
        ended = True

    task = BackgroundTask("looking", work, ask_to_end=asked.set)
    task.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_S):
        await task.stop()
    assert ended
