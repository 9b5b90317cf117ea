"""Calls in a VideoRoom of Debian's Janus, recorded by a real server that joins them by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from media.check.file import check_file
from tests.connectors.calls import Call
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.api_client import POLL_S, STATE_S_MAX, ApiClient
from tests.support.janus_publisher import JanusClient, JanusPublisher
from tests.support.janus_server import LOCKED_ROOM, PIN, ROOM, JanusServer, janus_server
from tests.support.server import RunningServer, start_server
from tests.support.stored import stored_media

pytestmark = pytest.mark.slow

SETTINGS = SHORT_FRAGMENTS | {
    "BYSTANDER_CONNECTORS__TARGETS": '["127.0.0.1"]',
    "BYSTANDER_RECORDING__START_MODE": "ASYNCHRONOUS",
}
BACK_S_MAX = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("data"), SETTINGS) as running:
        yield running


@pytest.fixture
def janus(tmp_path: Path) -> Iterator[JanusServer]:
    with janus_server(tmp_path) as running:
        yield running


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[ApiClient]:
    async with ApiClient(server) as opened:
        yield opened


async def begun(api: ApiClient, janus: JanusServer, room: int = ROOM, **more: Any) -> Call:
    """A call in a room."""
    return await Call.begun(api, {"kind": "janus", "url": janus.url, "room": room, **more})


def holds(path: Path, secret: str) -> bool:
    return secret.encode() in path.read_bytes()


def kinds(events: list[dict[str, Any]], name: str) -> list[str]:
    return [one["kind"] for one in events if one.get("name") == name]


async def test_a_call_in_a_room_is_recorded_and_nobody_sees_the_recorder(
    api: ApiClient, server: RunningServer, janus: JanusServer
) -> None:
    async with JanusPublisher(janus.url, ROOM, "Ada"), JanusClient(janus.url) as guest:
        people = [{"feed": "Bob*", "name": "Robert", "role": "AGENT", "participant": "agent-7"}]
        call = await begun(api, janus, people=people)
        await call.until("Ada")
        async with JanusPublisher(janus.url, ROOM, "Bob B."):
            await call.until("Ada", "Robert")
            assert sorted(one["display"] for one in await guest.participants(ROOM)) == ["Ada", "Bob B."]
            await call.grows()
        await call.until("Ada")
        await call.grows()
        recorded = await call.end()
    assert recorded["state"] == "AVAILABLE"
    events = await api.events(recorded["id"])
    assert "joined" in kinds(events, "Ada")
    assert [one for one in events if one["kind"] == "joined" and one["participant"] == "agent-7"]
    assert kinds(events, "Robert").count("left") == 1
    assert [one["kind"] for one in events].count("connector_connected") == 1
    report = check_file(stored_media(server.data_dir / "recordings", recorded["id"]))
    assert report.ok, report.problems
    assert (await api.call("GET", call.path))["connector"] is None


async def test_a_share_is_a_share_whether_it_is_a_feed_or_a_stream(
    api: ApiClient, janus: JanusServer
) -> None:
    async with AsyncExitStack() as people:
        two = JanusPublisher(janus.url, ROOM, "Ada", pictures=2, descriptions=(None, None, "My screen"))
        await people.enter_async_context(two)
        await people.enter_async_context(JanusPublisher(janus.url, ROOM, "Bob's screen", audio=False))
        call = await begun(api, janus)
        now = await call.until("Ada", "Ada", "Bob's screen")
        shown = sorted((one["name"], one["source"]) for one in now["streams"])
        assert shown == [("Ada", "camera"), ("Ada", "screen_share"), ("Bob's screen", "screen_share")]
        await call.grows()
        assert (await call.end())["state"] == "AVAILABLE"


async def test_a_room_with_a_pin_wants_the_right_one(api: ApiClient, janus: JanusServer) -> None:
    async with JanusPublisher(janus.url, LOCKED_ROOM, "Ada", pin=PIN):
        wrong = await begun(api, janus, LOCKED_ROOM, pin="wrong")
        deadline = time.monotonic() + STATE_S_MAX
        while not (streams := (await wrong.connector())["streams"]):
            assert time.monotonic() < deadline
            await asyncio.sleep(POLL_S)
        assert {(one["state"], one["reason"]) for one in streams} == {("REFUSED", "unauthorized")}
        right = await begun(api, janus, LOCKED_ROOM, pin=PIN)
        await right.until("Ada")
        await right.grows()
        assert PIN not in str(await api.call("GET", right.path))
        assert (await right.end())["state"] == "AVAILABLE"
        await wrong.end()


async def test_janus_killed_in_mid_call_is_a_gap_in_the_same_recording(
    api: ApiClient, janus: JanusServer
) -> None:
    async with AsyncExitStack() as people:
        gone = JanusPublisher(janus.url, ROOM, "Ada")
        await gone.__aenter__()
        call = await begun(api, janus)
        await call.until("Ada")
        await call.grows()
        recording = (await call.recording())["id"]
        janus.kill()
        await gone.__aexit__(None, None, None)
        async with asyncio.timeout(BACK_S_MAX):
            while (await call.connector())["reason"] not in ("connection_lost", "unreachable"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await janus.started()
        await people.enter_async_context(JanusPublisher(janus.url, ROOM, "Ada"))
        back = time.monotonic()
        await call.until("Ada")
        assert time.monotonic() - back < BACK_S_MAX
        await call.grows()
        recorded = await call.end()
    assert (recorded["id"], recorded["state"]) == (recording, "AVAILABLE")
    events = await api.events(recording)
    said = [one["kind"] for one in events if one["kind"].startswith("connector")]
    assert said == ["connector_connected", "connector_lost", "connector_connected"]
    again = [one for one in events if one["kind"] == "connector_connected"][1]
    assert again["detail"]["length_s"] >= 1.0


async def test_a_worker_that_dies_is_connected_again(
    api: ApiClient, server: RunningServer, janus: JanusServer
) -> None:
    async with JanusPublisher(janus.url, ROOM, "Ada"):
        before = set(server.workers())
        call = await begun(api, janus)
        await call.until("Ada")
        await call.grows()
        recording = (await call.recording())["id"]
        for worker in set(server.workers()) - before:
            os.kill(worker, signal.SIGKILL)
        await api.until(recording, "INTERRUPTED")
        await call.until("Ada")
        await api.until(recording, "RECORDING")
        await call.grows()
        recorded = await call.end()
    assert (recorded["id"], recorded["state"]) == (recording, "AVAILABLE")


async def test_a_restarted_server_connects_again(tmp_path: Path, janus: JanusServer) -> None:
    with serving(tmp_path / "data", SETTINGS) as server:
        async with JanusPublisher(janus.url, ROOM, "Ada"), ApiClient(server) as api:
            await begun(api, janus, LOCKED_ROOM, pin=PIN)
            call = await begun(api, janus)
            await call.until("Ada")
            await call.grows()
            assert not [path for path in server.data_dir.glob("*") if path.is_file() and holds(path, PIN)]
            recording = (await call.recording())["id"]
            server.kill()
            restarted = start_server(server.data_dir, settings=SETTINGS)
            try:
                async with ApiClient(restarted) as again:
                    call.api = again
                    await call.until("Ada")
                    await call.grows()
                    recorded = await call.end()
            finally:
                restarted.stop()
    assert (recorded["id"], recorded["state"]) == (recording, "AVAILABLE")
