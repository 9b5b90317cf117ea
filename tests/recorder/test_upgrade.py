"""An upgrade while people talk: the old server out, another release with a migration in, and no gap."""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

import media.check.file
from recorder.cli import main
from signaling.room.core.messages import CloseCode, Hello, encode
from tests.support.api_client import POLL_S, STATE_S_MAX, ApiClient
from tests.support.server import RunningServer, start_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("recorder", "signaling", "media", "storage", "tests/support")
UNANSWERED_S_MAX = 20.0
EXIT_S_MAX = 10.0
MIGRATION = '''
"""A later release's."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("later", sa.String(8), server_default="yes", nullable=False))


def downgrade() -> None:
    op.drop_column("conversations", "later")
'''


def later_release(where: Path) -> Path:
    """This tree somewhere else, with one more migration."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, where / package, ignore=shutil.ignore_patterns("__pycache__"))
    versions = where / "recorder/migrations/versions"
    head = max(file.name[1:5] for file in versions.glob("v[0-9]*.py"))
    (versions / "v9999_later.py").write_text(MIGRATION.format(head=head).lstrip())
    return where


def unanswered_s(url: str, since_s: float) -> float:
    """From `since_s` until it answers again. Blocks."""
    while time.monotonic() - since_s < UNANSWERED_S_MAX:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return time.monotonic() - since_s
        except (OSError, urllib.error.URLError):
            time.sleep(0.02)
    raise AssertionError("no server answers")


def upgraded(old: RunningServer, release: Path) -> tuple[RunningServer, float, float]:
    """The new server; how long the old one took to leave, and how long nobody answered. Blocks."""
    began_s = time.monotonic()
    old.process.send_signal(signal.SIGUSR2)
    assert old.process.wait(EXIT_S_MAX) == 0
    left_s = time.monotonic() - began_s
    new = start_server(old.data_dir, port=URL(old.base_url).port or 0, release=release)
    return new, left_s, unanswered_s(f"{new.base_url}/healthz", began_s)


def revision(data: Path) -> str:
    with closing(sqlite3.connect(data / "bystander.db")) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


async def entered(
    session: aiohttp.ClientSession, api: ApiClient
) -> tuple[aiohttp.ClientWebSocketResponse, str]:
    """An agent in a room, whose call begins with them."""
    conversation = await api.conversation()
    body = {"role": "AGENT", "name": "Ann"}
    agent = await api.call("POST", f"/v1/conversations/{conversation}/participants", body, status=201)
    socket = await session.ws_connect(f"/room/{conversation}/socket")
    await socket.send_str(encode(Hello(token=agent["token"], instance="page")))
    return socket, conversation


async def recordings(api: ApiClient, conversation: str) -> list[dict[str, Any]]:
    found = await api.call("GET", f"/v1/conversations/{conversation}/recordings")
    return list(found["items"])


async def begun(api: ApiClient, conversation: str) -> list[dict[str, Any]]:
    """What a room's call has started."""
    async with asyncio.timeout(STATE_S_MAX):
        while not (found := await recordings(api, conversation)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_S)
        return found


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async for _ in socket:
        pass
    return socket.close_code


async def test_recordings_go_on_through_an_upgrade_with_a_migration(tmp_path: Path) -> None:
    data, release = tmp_path / "data", await asyncio.to_thread(later_release, tmp_path / "later")
    old = await asyncio.to_thread(start_server, data)
    new = None
    try:
        async with ApiClient(old) as api, aiohttp.ClientSession(old.base_url) as session:
            recording = await api.start()
            identity = recording["id"]
            room, conversation = await entered(session, api)
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                before = await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 3)
                (of_room,) = await begun(api, conversation)
                await api.until(of_room["id"], "READY")
                workers = old.workers()
                closed = asyncio.ensure_future(closed_with(room))
                new, left_s, unanswered = await asyncio.to_thread(upgraded, old, release)
                assert await closed == CloseCode.UNAVAILABLE  # its page comes again by itself
                assert revision(data) == "9999"
                async with ApiClient(new) as again:
                    longer = before["duration_s"] + unanswered + 3
                    await again.until_it(identity, lambda now: (now["duration_s"] or 0) > longer)
                    assert new.workers() == workers
                    assert [one["state"] for one in await recordings(again, conversation)] == ["READY"]
                    await again.stop(identity)
                    over = await again.until(identity, "AVAILABLE", "FAILED")
                    events = [event["kind"] for event in await again.events(identity)]
                    (tmp_path / "recording.mp4").write_bytes(await again.media(identity))
        wall_s = _seconds(over["started_at"], over["ended_at"])
        sys.stderr.write(
            f"the old server left in {left_s:.2f} s, nobody answered for {unanswered:.2f} s;"
            f" {over['duration_s']:.2f} s recorded of {wall_s:.2f} s\n"
        )
        assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
        assert "gap" not in events
        assert abs(over["duration_s"] - wall_s) < 1.5
        assert await asyncio.to_thread(media.check.file.main, str(tmp_path / "recording.mp4")) == 0
        assert new.stop() == 0
        config = ["--config", str(data / "bystander.toml"), "--data-dir", str(data)]
        assert await asyncio.to_thread(main, ["audit", "verify", *config]) == 0
    finally:
        for server in (old, new):
            if server is not None and server.process.poll() is None:
                server.kill()
        for pid in old.workers():
            os.kill(pid, signal.SIGKILL)


def _seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
