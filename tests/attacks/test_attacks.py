"""Attacks on a real server: who attacks, what they try, and that others notice nothing of it.

Each attacker has an address of their own, and each attack runs while a recording takes publishers and
somebody else works: afterwards both go on as before.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest
from yarl import URL

from tests.support.api_client import ApiClient
from tests.support.server import RunningServer, running_server

NOTICED_S = 3.0  # nobody waits that long for a page on a machine that is well
FEW_REQUESTS = {  # so that no machine is too slow to ask for more
    "BYSTANDER_LIMITS__ADDRESS_REQUESTS_BURST": "40",
    "BYSTANDER_LIMITS__ADDRESS_REQUESTS_PER_S": "0.5",
}
SDP = {"Content-Type": "application/sdp"}
WORST_OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:" + "x" * 22 + "\r\n"
    "a=fingerprint:sha-256 " + ":".join(["00"] * 32) + "\r\nm=video 9 UDP/TLS/RTP/SAVPF "
    + "96 " * 10_500 + "\r\na=sendonly\r\na=rtcp-mux\r\n" + "a=rtcp-fb:96\r\n" * 1_700
)  # fmt: skip


class Scene:
    """A server with a call that is recorded, and an attacker somewhere else."""

    def __init__(
        self, server: RunningServer, operator: ApiClient, address: str, stack: AsyncExitStack
    ) -> None:
        self.server = server
        self.operator = operator
        self.address = address
        self.stack = stack
        self.attacker: aiohttp.ClientSession
        self.recording: dict[str, Any]
        self.people: dict[str, dict[str, Any]] = {}

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0), limit=0)
        session = aiohttp.ClientSession(self.server.base_url, connector=connector)
        self.attacker = await self.stack.enter_async_context(session)
        self.recording = await self.operator.start()
        path = f"/v1/conversations/{self.conversation}/participants"
        for role in ("AGENT", "VISITOR"):
            body = {"role": role, "name": role.title()}
            self.people[role] = await self.operator.call("POST", path, body, status=201)

    @property
    def conversation(self) -> str:
        return str(self.recording["conversation"])

    async def ask(
        self, method: str, path: str, *, token: str | None = None, body: Any = None, **more: Any
    ) -> tuple[int, str]:
        """The status and, where it is a problem, its code."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= more.pop("headers", {})
        async with self.attacker.request(method, path, json=body, headers=headers, **more) as answer:
            text = await answer.text()
            problem = answer.content_type == "application/problem+json"
            return answer.status, json.loads(text)["code"] if problem else ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = URL(self.server.base_url)
        assert url.host is not None and url.port is not None
        reader, writer = await asyncio.open_connection(url.host, url.port, local_addr=(self.address, 0))
        self.stack.callback(writer.close)
        return reader, writer

    async def key(self, *scopes: str, **more: Any) -> str:
        body = {"name": "k", "scopes": list(scopes), **more}
        return str((await self.operator.call("POST", "/v1/keys", body, status=201))["secret"])

    async def invitation(self, role: str) -> tuple[str, str]:
        """The path of the entry point, and the token that one participant publishes by."""
        path = f"/v1/recordings/{self.recording['id']}/publishers"
        made = await self.operator.call("POST", path, {"participant": self.people[role]["id"]}, status=201)
        return URL(made["url"]).path, made["token"]

    async def enter(self, role: str) -> aiohttp.ClientWebSocketResponse:
        """Somebody who may comes into the room, from elsewhere."""
        session = await self.stack.enter_async_context(aiohttp.ClientSession(self.server.base_url))
        room = await session.ws_connect(f"/room/{self.conversation}/socket")
        await room.send_json({"type": "hello", "token": self.people[role]["token"], "instance": role})
        assert (await room.receive_json(timeout=NOTICED_S))["type"] == "welcome"
        return room


# --- strangers ----------------------------------------------------------------------------------------------
async def silent_sockets(scene: Scene) -> None:
    for _ in range(60):
        await scene.stack.enter_async_context(scene.attacker.ws_connect(f"/room/{scene.conversation}/socket"))
    await scene.enter("AGENT")


async def heads_that_never_end(scene: Scene) -> None:
    for _ in range(400):
        _, writer = await scene.connect()
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    await scene.enter("AGENT")


async def guessed_tokens(scene: Scene) -> None:
    statuses = [await scene.ask("GET", "/v1/conversations", token=f"guess {one}") for one in range(60)]
    assert {status for status, _ in statuses} == {401, 429}


async def forged_links(scene: Scene) -> None:
    path = f"/v1/recordings/{scene.recording['id']}/media"
    told = {await scene.ask("GET", f"{path}?expires=1893456000&signature=forged{one}") for one in range(60)}
    assert told == {(403, "link_invalid"), (429, "too_many_requests")}


async def paths_that_do_not_exist(scene: Scene) -> None:
    told = {(await scene.ask("GET", f"/nothing/{one}"))[0] for one in range(60)}
    assert told == {404, 429}


async def forged_addresses(scene: Scene) -> None:
    forged = [{"X-Forwarded-For": f"203.0.113.{one % 256}"} for one in range(60)]
    told = {(await scene.ask("GET", "/healthz", headers=one))[0] for one in forged}
    assert told == {200, 429}


async def what_is_no_http(scene: Scene) -> None:
    for line in (b"GET /whip/secret-of-mine\x00 HTTP/1.1\r\n\r\n", b"\x16\x03\x01secret-of-mine\r\n\r\n"):
        reader, writer = await scene.connect()
        writer.write(line)
        answer = await asyncio.wait_for(reader.read(), NOTICED_S)
        assert b" 400 " in answer.splitlines()[0] and b"aiohttp" not in answer and b"Python" not in answer
    assert "secret-of-mine" not in scene.server.log.read_text()


async def paths_that_climb(scene: Scene) -> None:
    for path in ("/web/..%2f..%2fpyproject.toml", "/web/%2e%2e/app.py", "/room/../../etc/passwd"):
        status, _ = await scene.ask("GET", str(URL(path, encoded=True)))
        assert status in (200, 404)
        assert status == 404 or "/room/" in path  # the page of a room of whatever name


# --- participants -------------------------------------------------------------------------------------------
async def somebody_elses_name(scene: Scene) -> None:
    path, token = await scene.invitation("VISITOR")
    agent = scene.people["AGENT"]["id"]
    for query in (f"?participant={agent}", "?role=AGENT", f"?participant={agent}&role=AGENT&name=Agent"):
        told = await scene.ask("POST", path + query, token=token, data="v=0\r\n", headers=SDP)
        assert told == (403, "forbidden")
    told = await scene.ask("POST", path, token=scene.people["VISITOR"]["token"], data="v=0\r\n", headers=SDP)
    assert told == (401, "unauthorized")


async def another_conversation(scene: Scene) -> None:
    other = await scene.operator.conversation()
    token = scene.people["AGENT"]["token"]
    for path in (f"/v1/conversations/{other}", f"/v1/conversations/{other}/messages"):
        assert (await scene.ask("GET", path, token=token))[0] == 404


async def all_the_long_polls(scene: Scene) -> None:
    path, token = f"/v1/conversations/{scene.conversation}/decisions", scene.people["VISITOR"]["token"]
    polls = [
        asyncio.create_task(scene.ask("GET", path + "?wait_s=2&after=1000", token=token)) for _ in range(20)
    ]
    told = sorted(await asyncio.gather(*polls))
    assert [status for status, _ in told].count(429) == 12, told
    await scene.operator.call("GET", path)


async def an_offer_that_takes_long_to_read(scene: Scene) -> None:
    path, token = await scene.invitation("VISITOR")
    for _ in range(6):
        began = time.monotonic()
        status, _ = await scene.ask("POST", path, token=token, data=WORST_OFFER[:65_000], headers=SDP)
        assert status in (400, 422) and time.monotonic() - began < NOTICED_S


async def bodies_that_are_bombs(scene: Scene) -> None:
    path, token = f"/v1/conversations/{scene.conversation}/messages", scene.people["VISITOR"]["token"]
    as_json = {"Content-Type": "application/json"}
    for data in ("x" * 200_000, "[" * 60_000, '{"text":' * 7_000):
        told = await scene.ask("POST", path, token=token, data=data, headers=as_json)
        assert told in ((413, "body_too_large"), (400, "invalid_json"), (422, "invalid_body"))


async def a_token_that_was_replaced(scene: Scene) -> None:
    room = await scene.enter("VISITOR")
    visitor = scene.people["VISITOR"]["id"]
    path = f"/v1/conversations/{scene.conversation}/participants/{visitor}/token"
    await scene.operator.call("POST", path)
    async with asyncio.timeout(NOTICED_S):
        while (await room.receive()).type is aiohttp.WSMsgType.TEXT:
            continue
    assert room.close_code == 4401


# --- holders of keys ----------------------------------------------------------------------------------------
async def more_than_the_key_may(scene: Scene) -> None:
    path = f"/v1/conversations/{scene.conversation}/participants"
    key = await scene.key("conversations:write")
    told = await scene.ask("POST", path, token=key, body={"role": "SUPERVISOR", "name": "Eve"})
    assert told == (403, "forbidden")


async def longer_than_the_key_lasts(scene: Scene) -> None:
    key = await scene.key("admin", expires_at="2090-01-01T00:00:00Z")
    told = await scene.ask("POST", "/v1/keys", token=key, body={"name": "x", "scopes": ["admin"]})
    assert told == (403, "forbidden")


async def another_account(scene: Scene) -> None:
    key = await scene.key("admin", account="eve")
    assert (await scene.ask("GET", f"/v1/conversations/{scene.conversation}", token=key))[0] == 404
    assert (await scene.ask("GET", f"/v1/recordings/{scene.recording['id']}", token=key))[0] == 404
    assert (await scene.ask("POST", "/v1/storage/test", token=key)) == (403, "forbidden")


async def addresses_that_only_the_server_reaches(scene: Scene) -> None:
    key = await scene.key("webhooks", account="eve")
    for host in ("127.0.0.1", "127.1", "[::1]", "[64:ff9b:1::1]", "[fec0::1]", "[::8.8.8.8]", "a.internal"):
        told = await scene.ask("POST", "/v1/webhooks", token=key, body={"url": f"http://{host}/"})
        assert told == (422, "private_network"), host


async def connecting_where_no_operator_said(scene: Scene) -> None:
    path = f"/v1/conversations/{scene.conversation}/interactions"
    key = await scene.key("conversations:write")
    for url in ("ws://127.0.0.1:1", "wss://169.254.169.254/", "ws://a.internal"):
        body = {"connector": {"kind": "janus", "url": url, "room": 1}}
        assert await scene.ask("POST", path, token=key, body=body) == (403, "target_not_allowed"), url
        agent = scene.people["AGENT"]["token"]
        assert await scene.ask("POST", path, token=agent, body=body) == (403, "forbidden")


async def times_beyond_the_calendar(scene: Scene) -> None:
    key = await scene.key("conversations:read", account="eve")
    path = "/v1/conversations?created_from=0001-01-01T00:00:00%2B14:00"
    assert await scene.ask("GET", str(URL(path, encoded=True)), token=key) == (400, "invalid_query")


class Attack(NamedTuple):
    """One row: who attacks, and what they try."""

    who: str
    tries: Callable[[Scene], Awaitable[None]]


ATTACKS = (
    *(Attack("stranger", one) for one in (
        silent_sockets, heads_that_never_end, guessed_tokens, forged_links, paths_that_do_not_exist,
        forged_addresses, what_is_no_http, paths_that_climb,
    )),
    *(Attack("participant", one) for one in (
        somebody_elses_name, another_conversation, all_the_long_polls, an_offer_that_takes_long_to_read,
        bodies_that_are_bombs, a_token_that_was_replaced,
    )),
    *(Attack("holder of a key", one) for one in (
        more_than_the_key_may, longer_than_the_key_lasts, another_account,
        addresses_that_only_the_server_reaches, connecting_where_no_operator_said, times_beyond_the_calendar,
    )),
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data_dir = tmp_path_factory.mktemp("attacked") / "data"
    with running_server(data_dir, settings=FEW_REQUESTS) as one:
        yield one


@asynccontextmanager
async def opened(server: RunningServer, number: int) -> AsyncIterator[Scene]:
    async with ApiClient(server) as operator, AsyncExitStack() as stack:
        scene = Scene(server, operator, f"127.0.1.{number + 1}", stack)
        await scene.open()
        yield scene
        await operator.stop(scene.recording["id"])


@pytest.mark.parametrize(
    "number", range(len(ATTACKS)), ids=[f"{one.who}: {one.tries.__name__}" for one in ATTACKS]
)
async def test_others_notice_nothing(server: RunningServer, number: int) -> None:
    async with opened(server, number) as scene:
        await ATTACKS[number].tries(scene)
        began = time.monotonic()
        now = await scene.operator.recording(scene.recording["id"])
        assert now["state"] == "READY"
        await scene.operator.conversation()
        assert time.monotonic() - began < NOTICED_S
    assert "Traceback" not in server.log.read_text()
