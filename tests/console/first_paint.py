"""Time to the first useful paint of the history, with few and with 100,000 conversations.

`python -m tests.console.first_paint`: a real server on SQLite, Chromium, a fresh profile each time; the
clock runs from the navigation to the first row of the table.
"""

import asyncio
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks import history
from recorder.database.connection import sqlite_url
from tests.support.browser import Visitor, chromium
from tests.support.server import RunningServer, running_server

ROUNDS = 7
PATHS = {
    "newest": "/console/history",
    "rare metadata": "/console/history?metadata=case%3A7",
    "common metadata": "/console/history?metadata=desk%3Ad2",
    "participant": "/console/history?participant=Agent+3",
}
WATCH = """new Promise(done => {
    const found = () => document.querySelector("tbody tr");
    const look = () => found() ? done(performance.now()) : requestAnimationFrame(look);
    look();
})"""


def measure() -> None:
    """Print a table."""
    for number in (10, 100_000):
        history.CONVERSATIONS, history.BATCH = number, min(number, 2_000)
        with tempfile.TemporaryDirectory() as scratch:
            asyncio.run(history._fill(sqlite_url(Path(scratch) / "bystander.db")))
            with running_server(Path(scratch), settings=dict(os.environ)) as server:
                asyncio.run(_rounds(number, server))


async def _rounds(number: int, server: RunningServer) -> None:
    async with chromium() as browser:
        for name, path in PATHS.items():
            took = [await _one(Visitor(browser), server, path) for _ in range(ROUNDS)]
            print(f"{number:>7} conversations, {name:<16} {statistics.median(took):6.0f} ms (of {ROUNDS})")  # noqa: T201


async def _one(visitor: Visitor, server: RunningServer, path: str) -> float:
    async with visitor:
        url = server.base_url
        assert (await visitor.page.request.post(f"{url}/console/session", data={"key": server.api_key})).ok
        await visitor.page.goto(url + path, wait_until="commit")
        return float(await visitor.page.evaluate(WATCH))


if __name__ == "__main__":
    measure()
