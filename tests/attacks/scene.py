"""The stage of attacks: a real server, somebody who works on it, a call that is recorded, and an attacker.

Each attacker has an address of their own.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from tests.support.aiortc_peer import AiortcPeer
from tests.support.api_client import ApiClient
from tests.support.rtp_publisher import RtpPublisher
from tests.support.server import RunningServer

ANNA = "anna"  # of the demo's cast
NOTICED_S = 3.0  # nobody waits that long for a page on a machine that is well
CONNECTED_S_MAX = 10.0
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
SETTINGS = {  # so few requests that no machine is too slow to ask for more
    "BYSTANDER_LIMITS__ADDRESS_REQUESTS_BURST": "40",
    "BYSTANDER_LIMITS__ADDRESS_REQUESTS_PER_S": "0.5",
    "BYSTANDER_CALL__BIND_HOST": "127.0.0.1",
}


@dataclass(frozen=True)
class Talk:
    """A recording to which somebody talks all the while, from a process of their own."""

    recording: dict[str, Any]
    worker: int


@contextmanager
def talking(server: RunningServer) -> Iterator[Talk]:
    """Anna, in a recording of her own, for as long as the block lasts."""
    recording = asyncio.run(_started(server))
    part = {
        "person": ANNA,
        "camera": True,
        "width": 320,
        "height": 180,
        "fps": 10,
        "url": recording["entry_point"]["url"],
        "token": recording["entry_point"]["token"],
    }
    command = [sys.executable, "-m", "recorder.demo.person"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as anna:
        assert anna.stdin is not None and anna.stdout is not None
        anna.stdin.write(json.dumps(part).encode() + b"\n")
        anna.stdin.flush()
        assert anna.stdout.readline().strip() == b"joined"
        recording = asyncio.run(_recording(server, recording["id"]))
        (worker,) = server.workers()
        yield Talk(recording, worker)
        anna.stdin.close()
        anna.wait(CONNECTED_S_MAX)


async def _started(server: RunningServer) -> dict[str, Any]:
    async with ApiClient(server) as operator:
        return await operator.start()


async def _recording(server: RunningServer, recording: str) -> dict[str, Any]:
    async with ApiClient(server) as operator:
        return await operator.until(recording, "RECORDING")


class Scene:
    """A server with a call that is recorded, and an attacker somewhere else."""

    def __init__(
        self,
        server: RunningServer,
        operator: ApiClient,
        address: str,
        stack: AsyncExitStack,
        talk: Talk | None,
    ) -> None:
        self.server = server
        self.operator = operator
        self.address = address
        self.stack = stack
        self.talk = talk
        self.moves = 0
        self.attacker: aiohttp.ClientSession
        self.recording: dict[str, Any]
        self.people: dict[str, dict[str, Any]] = {}
        self.secrets = {server.api_key}  # that no log may hold

    async def move(self) -> None:
        """Go on from an address that nobody knows yet."""
        self.moves += 1
        await self._attack_from(f"{self.address.rpartition('.')[0]}.{200 + self.moves}")

    async def _attack_from(self, address: str) -> None:
        self.address = address
        connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
        session = aiohttp.ClientSession(self.server.base_url, connector=connector)
        self.attacker = await self.stack.enter_async_context(session)

    async def open(self) -> None:
        await self._attack_from(self.address)
        self.recording = self.talk.recording if self.talk else await self.operator.start()
        self.secrets.add(self.recording["entry_point"]["token"])
        path = f"/v1/conversations/{self.conversation}/participants"
        for role in ("AGENT", "VISITOR"):
            body = {"role": role, "name": role.title()}
            self.people[role] = await self.operator.call("POST", path, body, status=201)
            self.secrets.add(self.people[role]["token"])

    async def goes_on(self) -> None:
        """Whoever works is answered, and the recording is as it was before."""
        identity = self.recording["id"]
        async with asyncio.timeout(NOTICED_S):
            now = await self.operator.recording(identity)
            await self.operator.conversation()
        if self.talk is None:
            assert now["state"] == "READY"
            return
        assert now["state"] == "RECORDING"
        assert self.talk.worker in self.server.workers()

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
            data = await answer.read()
            problem = data and answer.content_type == "application/problem+json"
            return answer.status, json.loads(data)["code"] if problem else ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = URL(self.server.base_url)
        assert url.host is not None and url.port is not None
        reader, writer = await asyncio.open_connection(url.host, url.port, local_addr=(self.address, 0))
        self.stack.callback(writer.close)
        return reader, writer

    async def key(self, *scopes: str, **more: Any) -> str:
        body = {"name": "k", "scopes": list(scopes), **more}
        secret = str((await self.operator.call("POST", "/v1/keys", body, status=201))["secret"])
        self.secrets.add(secret)
        return secret

    async def invitation(self, role: str) -> tuple[str, str]:
        """The path of the entry point, and the token that one participant publishes by."""
        path = f"/v1/recordings/{self.recording['id']}/publishers"
        made = await self.operator.call("POST", path, {"participant": self.people[role]["id"]}, status=201)
        self.secrets.add(made["token"])
        return URL(made["url"]).path, made["token"]

    async def enter(self, role: str) -> aiohttp.ClientWebSocketResponse:
        """Somebody who may comes into the room, from elsewhere."""
        session = await self.stack.enter_async_context(aiohttp.ClientSession(self.server.base_url))
        room = await session.ws_connect(f"/room/{self.conversation}/socket")
        await room.send_json({"type": "hello", "token": self.people[role]["token"], "instance": role})
        assert (await room.receive_json(timeout=NOTICED_S))["type"] == "welcome"
        return room

    async def offered(self, role: str, offer: str) -> tuple[int, str, str]:
        """Post an offer as this participant: status, the session's path, and the answer or the problem."""
        path, token = await self.invitation(role)
        headers = {"Authorization": f"Bearer {token}", **SDP}
        async with self.attacker.post(path, data=offer, headers=headers) as answer:
            return answer.status, URL(answer.headers.get("Location", "")).path, await answer.text()

    async def publishes(self, role: str) -> None:
        """Somebody of the call comes in with their microphone, is connected, and leaves."""
        async with AiortcPeer(video_codec=None) as peer:
            status, session, answer = await self.offered(role, await peer.offer())
            assert status == 201, answer
            await peer.answered(answer)
            await connected(peer)
            _, token = await self.invitation(role)
            assert (await self.ask("DELETE", session, token=token))[0] == 200

    @asynccontextmanager
    async def sending(self, role: str) -> AsyncIterator[RtpPublisher]:
        """Somebody of the call whose packets are in the attacker's hands."""
        async with RtpPublisher() as publisher:
            status, _, answer = await self.offered(role, await publisher.offer())
            assert status == 201, answer
            await publisher.answered(answer)
            yield publisher

    async def events(self) -> list[dict[str, Any]]:
        """What happened to the recording by now."""
        return await self.operator.events(self.recording["id"])


async def connected(peer: AiortcPeer) -> None:
    """Wait until media can flow."""
    changed = asyncio.Event()
    peer.connection.on("connectionstatechange", changed.set)
    async with asyncio.timeout(CONNECTED_S_MAX):
        while peer.connection.connectionState != "connected":
            assert peer.connection.connectionState != "failed"
            await changed.wait()
            changed.clear()


def media_ports(answer: str) -> list[int]:
    """Where an answer says that media is taken."""
    return [int(port) for port in re.findall(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) ", answer)]


@asynccontextmanager
async def opened(server: RunningServer, number: int, talk: Talk | None = None) -> AsyncIterator[Scene]:
    """A scene whose attacker is number so much; with a `talk` it is about that call."""
    async with ApiClient(server) as operator, AsyncExitStack() as stack:
        scene = Scene(server, operator, f"127.0.1.{number + 1}", stack, talk)
        await scene.open()
        yield scene
        if talk is None:
            await operator.stop(scene.recording["id"])
