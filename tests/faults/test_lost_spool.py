"""A node's spool is gone: the bucket alone brings the recording to its end, and the database hears of it."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.calls import (
    MEDIA_LOST_S_MAX,
    TAIL_S,
    Call,
    begin,
    join,
    kept,
    kill_all,
    nothing_beside,
    on_s3,
)
from tests.faults.conftest import Figure
from tests.support.api_client import ApiClient
from tests.support.ports import free_port
from tests.support.s3_servers import ServerProcess, rclone
from tests.support.server import running_server, start_server

RECORDED_S = 6.0
PREFIX = "lost"
NO_ANSWER = "the bucket cannot be looked through"
WAITS = "a recording without a spool waits for the store"

pytestmark = pytest.mark.faults


async def recover(lost: "Lost") -> "subprocess.CompletedProcess[str]":
    """`bystander recover`."""
    command = [sys.executable, "-m", "recorder", "recover", "--data-dir", str(lost.data_dir)]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, **lost.settings},
        capture_output=True,
        text=True,
        check=False,
    )


def written_down(lost: "Lost") -> tuple[str, str, str, int]:
    """State, end reason, failure and size as the database has them."""
    with sqlite3.connect(lost.data_dir / "bystander.db") as database:
        query = "SELECT state, end_reason, failure, bytes FROM recordings WHERE id = ?"
        (row,) = database.execute(query, (lost.call.recording,)).fetchall()
    state, reason, failure, size = row
    return state, reason, failure, size


def announced(lost: "Lost") -> list[str]:
    """What the outbox holds, oldest first."""
    with sqlite3.connect(lost.data_dir / "bystander.db") as database:
        rows = database.execute("SELECT type FROM webhook_events ORDER BY sequence").fetchall()
    return [type_ for (type_,) in rows]


@dataclass(frozen=True)
class Lost:
    """A call whose server and workers were killed, and its spool removed."""

    data_dir: Path
    settings: dict[str, str]
    call: Call
    received_s: float


async def lose(store: ServerProcess, data_dir: Path) -> Lost:
    """Record a call whose second participant comes late, and lose all but the bucket and the database."""
    settings = on_s3(store, PREFIX) | {"BYSTANDER_WEBHOOKS__ALLOW_PRIVATE_NETWORKS": "true"}
    server = await asyncio.to_thread(start_server, data_dir, settings=settings)
    async with AsyncExitStack() as stack:
        async with ApiClient(server) as api:
            hook = {
                "url": f"http://127.0.0.1:{free_port()}/",
                "events": ["recording.available", "recording.failed"],
            }
            await api.call("POST", "/v1/webhooks", hook, status=201)
            call = await begin(api, stack)
            await asyncio.sleep(RECORDED_S / 2)
            await join(call.entry_point, stack, "bob")
            await asyncio.sleep(RECORDED_S / 2)
        kill_all(server)
        received_s = call.lasts_s
    shutil.rmtree(data_dir / "spool" / call.recording)
    return Lost(data_dir, settings, call, received_s)


async def by_hand(lost: Lost, store: ServerProcess) -> None:
    """`bystander recover` brings it to its end without a server, once."""
    told = await recover(lost)
    assert told.returncode == 0, told.stderr
    assert f"{lost.call.recording}  without a spool: restored" in told.stdout
    assert "AVAILABLE, ABORT_UNEXPECTED (node_lost)" in told.stdout
    before = written_down(lost), announced(lost)
    assert (await recover(lost)).stdout == ""
    assert (written_down(lost), announced(lost)) == before
    with running_server(lost.data_dir, settings=lost.settings):
        refused = await recover(lost)
        assert refused.returncode == 1
        assert refused.stderr.startswith("bystander: server_running: ")
    assert (written_down(lost), announced(lost)) == before


async def by_a_server(lost: Lost, store: ServerProcess) -> None:
    """The next server brings it to its end when it starts."""
    with running_server(lost.data_dir, settings=lost.settings) as server:
        async with ApiClient(server) as api:
            await api.until(lost.call.recording, "AVAILABLE", "FAILED")


async def by_a_server_that_had_no_store(lost: Lost, store: ServerProcess) -> None:
    """A server that could not ask the bucket says nothing of the recording before it could."""
    store.kill()
    with running_server(lost.data_dir, settings=lost.settings) as server:
        async with ApiClient(server) as api:
            await api.until(lost.call.recording, "FINALIZING")
            await server.until_logged(WAITS)
            await server.until_logged(NO_ANSWER, times=1 + server.logged(NO_ANSWER))  # asked again, in vain
            assert (await api.recording(lost.call.recording))["state"] == "FINALIZING"
            await asyncio.to_thread(store.start)
            await api.until(lost.call.recording, "AVAILABLE", "FAILED")


@pytest.mark.parametrize("completed", [by_hand, by_a_server, by_a_server_that_had_no_store])
async def test_a_call_whose_node_lost_its_spool(
    completed: Callable[[Lost, ServerProcess], Awaitable[None]], tmp_path: Path, figure: Figure
) -> None:
    with rclone(tmp_path / "store") as store:
        lost = await lose(store, tmp_path / "data")
        await completed(lost, store)
        found = await kept(store, PREFIX, lost.call.recording, tmp_path)
        assert await nothing_beside(store, PREFIX)
    state, reason, failure, size = written_down(lost)
    assert (state, reason) == ("AVAILABLE", "ABORT_UNEXPECTED")
    assert failure in ("node_lost", "worker_died")
    assert size == (tmp_path / f"{lost.call.recording}.mp4").stat().st_size
    assert announced(lost) == ["recording.available"]
    events = [json.loads(line) for line in found.events]
    assert [one["participant"] for one in events if one["kind"] == "joined"] == ["ada", "bob"]
    lost_s = lost.received_s - found.duration_s
    figure("spool of a call deleted (tail 1 s)", "media lost, s", lost_s)
    assert lost_s <= TAIL_S + MEDIA_LOST_S_MAX
