"""Relays that go and come back while people talk, and credentials that are older than the call."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from media.check.file import check_file
from recorder.kernel.media import IceServer
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.e2e.test_relayed import published
from tests.support.aiortc_peer import AiortcPeer
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.stored import stored_media
from tests.support.turn_server import TurnServer, relayed_through, turn_server

pytestmark = pytest.mark.slow

RECORDED_S = 1.5
BACK_S_MAX = 10.0  # from the relay's end to the first picture after it
NOTICED_S = 3.0  # when a publisher that looks after itself begins to look for another way
TTL_S = 5
ALLOCATION_S = 6  # then the TURN server wants to hear that it is still used
CANDIDATE = re.compile(r"a=candidate:\S+ 1 \S+ \d+ (\S+) \d+ typ (\w+) raddr (\S+)")

_log = logging.getLogger(__name__)


@dataclass
class Call:
    """A call that is recorded, and who publishes."""

    api: ApiClient
    recording: dict[str, Any]
    publisher: AiortcPeer
    session: str
    answer: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.recording['entry_point']['token']}"}

    async def servers(self) -> list[IceServer]:
        """What a publisher is told to use now, as a call service asks for it."""
        now = await self.api.recording(self.recording["id"])
        return [msgspec.convert(each, IceServer) for each in now["entry_point"]["ice_servers"]]

    async def restart(self, server: IceServer | None = None) -> str:
        """ICE anew through a relay; what the recorder answered."""
        if server is None:
            (server,) = await self.servers()
        fragment = await self.publisher.new_ice_session(server)
        headers = self.headers | {"If-Match": "*", "Content-Type": "application/trickle-ice-sdpfrag"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.patch(self.session, data=fragment) as response,
        ):
            answer = await response.text()
            assert response.status == 200, answer
        await self.publisher.move_to(answer)
        return answer

    async def until_longer(self, more_s: float) -> None:
        """Until so much more was recorded."""
        identity = self.recording["id"]
        before_s = (await self.api.recording(identity))["duration_s"] or 0.0
        await self.api.until_it(identity, lambda now: (now["duration_s"] or 0.0) > before_s + more_s)

    async def over(self) -> list[dict[str, Any]]:
        """End it; what happened in it."""
        await self.api.stop(self.recording["id"])
        ended = await self.api.until(self.recording["id"], "AVAILABLE", "FAILED")
        assert (ended["state"], ended["failure"]) == ("AVAILABLE", None)
        return await self.api.events(self.recording["id"])


async def begun(api: ApiClient, publisher: AiortcPeer, recording: dict[str, Any]) -> Call:
    """A call whose media flows."""
    answer, session = await published(recording["entry_point"], publisher)
    call = Call(api, recording, publisher, session, answer)
    await call.until_longer(RECORDED_S)
    return call


@asynccontextmanager
async def called(
    directory: Path, settings: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[tuple[Call, TurnServer]]:
    """A call through one relay, which is made with these options."""
    with ExitStack() as stack:
        relay = stack.enter_context(turn_server(directory / "turn", **options))
        told = SHORT_FRAGMENTS | relay.settings | (settings or {})
        async with ApiClient(stack.enter_context(serving(directory, told))) as api:
            recording = await api.start()
            servers = servers_of(recording)
            async with AiortcPeer(ice_servers=servers, relay_only=True) as publisher:
                yield await begun(api, publisher, recording), relay


def servers_of(recording: dict[str, Any]) -> list[IceServer]:
    return [msgspec.convert(each, IceServer) for each in recording["entry_point"]["ice_servers"]]


def gap_of(events: list[dict[str, Any]]) -> float:
    """How long nothing came, by the recording's own clock."""
    began = next(event["at_s"] for event in events if event["kind"] == "gap_started")
    ended = next(event["at_s"] for event in events if event["kind"] == "gap_ended")
    _log.info("without media for %.2f s", ended - began)
    return float(ended - began)


async def test_media_comes_back_with_the_relay(tmp_path: Path) -> None:
    async with called(tmp_path) as (call, relay):
        relay.kill()
        relay.start()
        await asyncio.sleep(NOTICED_S)
        await call.restart()
        await call.until_longer(NOTICED_S + RECORDED_S)
        events = await call.over()
        path = stored_media(tmp_path / "recordings", call.recording["id"])
    assert 1.0 < gap_of(events) < BACK_S_MAX
    report = await asyncio.to_thread(check_file, path)
    assert report.ok, report.problems


async def test_another_relay_takes_the_place_of_a_dead_one(tmp_path: Path) -> None:
    with turn_server(tmp_path / "one") as one, turn_server(tmp_path / "other") as other:
        settings = SHORT_FRAGMENTS | relayed_through([one, other])
        with serving(tmp_path, settings) as server:
            async with ApiClient(server) as api:
                recording = await api.start()
                first = IceServer(**msgspec.structs.asdict(servers_of(recording)[0]) | {"urls": [one.url]})
                async with AiortcPeer(ice_servers=[first], relay_only=True) as publisher:
                    call = await begun(api, publisher, recording)
                    one.kill()
                    await asyncio.sleep(NOTICED_S)
                    (told,) = await call.servers()
                    await call.restart(msgspec.structs.replace(told, urls=[other.url]))
                    await call.until_longer(NOTICED_S + RECORDED_S)
                    one.start()  # so that nobody waits for its answers when they end
                    events = await call.over()
            assert 1.0 < gap_of(events) < BACK_S_MAX


async def test_who_does_not_restart_is_missed_in_the_events(tmp_path: Path) -> None:
    async with called(tmp_path, {"BYSTANDER_RECORDING__NO_MEDIA_TIMEOUT_S": "120"}) as (call, relay):
        relay.kill()
        missed = await _until_missed(call)
        assert missed["participant"]
        now = await call.api.recording(call.recording["id"])
        assert not now["receiving"]
        relay.start()  # so that nobody waits for its answers when they end
        kinds = [event["kind"] for event in await call.over()]
    assert kinds.count("gap_started") == 1 and "gap_ended" not in kinds


async def _until_missed(call: Call) -> dict[str, Any]:
    deadline = time.monotonic() + 4 * BACK_S_MAX
    while time.monotonic() < deadline:
        for event in await call.api.events(call.recording["id"]):
            if event["kind"] == "gap_started":
                return event
        await asyncio.sleep(0.2)
    raise AssertionError("nobody is missed")


async def test_credentials_are_renewed_in_a_call_that_outlives_them(tmp_path: Path) -> None:
    options = [f"--max-allocate-lifetime={ALLOCATION_S}"]
    ttl = {"BYSTANDER_TURN__CREDENTIAL_TTL_S": str(TTL_S)}
    async with called(tmp_path, ttl, options=options) as (call, relay):
        (old,) = servers_of(call.recording)
        await call.until_longer(2 * ALLOCATION_S)  # both sides are past what they were given
        assert int(str(old.username).partition(":")[0]) < time.time()
        assert len(set(relay.allocations())) == 2
        await call.restart()
        await call.until_longer(RECORDED_S)
        assert len(set(relay.allocations())) == 4  # each side twice, each time by another name
        assert len(set(relay.refreshes())) >= 2
        events = await call.over()
    assert not [event for event in events if event["kind"] in ("gap_started", "connection_failed")]


async def test_nothing_says_where_the_recorder_is(tmp_path: Path) -> None:
    """Neither answers, nor events, nor logs at their most talkative name an address that is no relay's."""
    own, relays = "127.0.0.1", "127.0.0.2"
    talkative = {"BYSTANDER_SERVER__LOG_LEVEL": "debug"}
    async with called(tmp_path, talkative, address=relays) as (call, _):
        answers = [call.answer, await call.restart()]
        await call.until_longer(RECORDED_S)
        events = await call.over()
    for answer in answers:
        assert set(CANDIDATE.findall(answer)) == {(relays, "relay", "0.0.0.0")}
        assert own not in answer
    assert own not in str(events) and relays not in str(events)
    log = (tmp_path / "server.log").read_text()
    assert "confined" in log and " debug " in log
    callers = ("http", "remote=", "client=")  # who calls the API is another matter
    assert not [
        line for line in log.splitlines() if own in line and not any(each in line for each in callers)
    ]


async def test_the_room_does_it_by_itself(tmp_path: Path) -> None:
    agents_may_stop = {"BYSTANDER_RECORDING__ALLOW_STOP": '["AGENT"]'}
    with turn_server(tmp_path / "turn") as relay:
        with serving(tmp_path, SHORT_FRAGMENTS | relay.settings | agents_may_stop) as server:
            async with ApiClient(server) as api, chromium() as browser, Visitor(browser) as agent:
                recording = await _in_the_room(api, agent)
                relay.kill()
                relay.start()
                identity = recording["id"]
                await api.until_it(identity, lambda now: not now["receiving"])
                await api.until_it(identity, lambda now: bool(now["receiving"]))
                await agent.page.wait_for_selector("body[data-publishing=connected]")
                await api.stop(identity)
                await api.until(identity, "AVAILABLE", "FAILED")
                events = await api.events(identity)
        gap_s = gap_of(events)
        assert gap_s < BACK_S_MAX
        assert [event["kind"] for event in events].count("joined") == 1  # the same session


async def _in_the_room(api: ApiClient, agent: Visitor) -> dict[str, Any]:
    conversation = await api.conversation()
    body = {"role": "AGENT", "name": "Ada"}
    made = await api.call("POST", f"/v1/conversations/{conversation}/participants", body, status=201)
    await agent.page.goto(made["room_url"])
    await agent.page.click("#join")
    await agent.page.wait_for_selector("body[data-recording=recording][data-publishing=connected]")
    found = await api.call("GET", f"/v1/conversations/{conversation}/recordings")
    (recording,) = found["items"]
    await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > RECORDED_S)
    return dict(recording)
