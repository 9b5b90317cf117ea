"""A node that is cut off: namespaces for it, its publisher, its callers, and the core: TURN and the store."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from recorder.kernel.media import IceServer
from tests.support.api_client import ApiClient
from tests.support.namespaces import Namespace, Namespaces, namespaces
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY
from tests.support.server import RunningServer, running_server
from tests.support.turn_server import TurnServer, turn_server

RULES = Path(__file__).parents[2] / "deploy/nftables/isolated-node.nft"
STORE_PORT, TURN_PORT = 9000, 3478
START_S_MAX = 20.0
SHORT_FRAGMENTS = {"BYSTANDER_RECORDING__FRAGMENT_DURATION_S": "0.5"}


@dataclass(frozen=True)
class Scene:
    """Who is where: cables from the core and the callers end at the node; the publisher reaches the core."""

    spaces: Namespaces
    publisher: Namespace
    core: Namespace
    node: Namespace
    callers: Namespace
    core_address: str  # as the node sees it
    node_address: str
    relay_address: str  # as the publisher sees the core
    caller_address: str
    api_address: str  # the node's, as its callers see it

    @property
    def store(self) -> dict[str, str]:
        """Settings of a node whose store is in the core."""
        return {
            "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}",
            "BYSTANDER_STORAGE__ENDPOINT": f"http://{self.core_address}:{STORE_PORT}",
            "BYSTANDER_STORAGE__REGION": "us-east-1",
            "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
            "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }

    @property
    def served(self) -> dict[str, str]:
        """Settings of a node that its callers reach."""
        return SHORT_FRAGMENTS | {"BYSTANDER_SERVER__HOST": self.api_address}


@contextmanager
def scene(*, six: bool = False) -> Iterator[Scene]:
    """The namespaces and cables; nothing forwards. `six`: whether there is IPv6 besides."""
    with namespaces() as spaces:
        publisher, core, node, callers = map(spaces.add, ("publisher", "core", "node", "callers"))
        for each in () if six else (publisher, core, node, callers):
            each.without_ipv6()
        core_address, node_address = spaces.link(core, node, "10.77.1")
        relay_address, _ = spaces.link(core, publisher, "10.77.2")
        caller_address, api_address = spaces.link(callers, node, "10.77.3")
        # A relay's address has to be one that both sides' TURN servers can send to: the core's own.
        publisher.run("ip", "route", "add", f"{core_address}/32", "via", relay_address)
        yield Scene(
            spaces=spaces,
            publisher=publisher,
            core=core,
            node=node,
            callers=callers,
            core_address=core_address,
            node_address=node_address,
            relay_address=relay_address,
            caller_address=caller_address,
            api_address=api_address,
        )


def rules_of(*, callers: str, api_port: str, reached: str) -> str:
    """The rules that operators are given, with these addresses in their definitions."""
    text = RULES.read_text()
    for name, value in {
        "callers": f"{{ {callers} }}",
        "callers6": "{ fd00:77::ffff }",
        "api_port": api_port,
        "reached": f"{{ {reached} }}",
        "reached6": "{ fd00:77::ffff . udp . 9 }",
    }.items():
        text, found = re.subn(
            rf"^define {name} = (\{{[^}}]*\}}|\S+)$", f"define {name} = {value}", text, flags=re.M
        )
        assert found == 1, name
    return text


@contextmanager
def store_in(namespace: Namespace, directory: Path, *, address: str) -> Iterator[None]:
    """rclone's S3 server there."""
    (directory / BUCKET).mkdir(parents=True)
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    command = [*namespace.prefix, program, "serve", "s3", "--addr", f"{address}:{STORE_PORT}"]
    command += ["--auth-key", f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}", "--config", str(directory / "none")]
    process = subprocess.Popen(
        [*command, str(directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def relay_in(at: Scene, directory: Path, **options: Any) -> Iterator[TurnServer]:
    """coturn in the core, which both sides reach at one address."""
    with turn_server(
        directory, address=at.core_address, port=TURN_PORT, prefix=at.core.prefix, **options
    ) as relay:
        yield relay


@asynccontextmanager
async def door(
    namespace: Namespace, path: Path, host: str, port: int
) -> AsyncIterator[aiohttp.UnixConnector]:
    """A connector whose connections come out of that namespace."""
    process = await asyncio.create_subprocess_exec(
        *namespace.prefix, sys.executable, "-m", "tests.isolation.door", str(path), host, str(port),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S_MAX):
            await process.stdout.readline()
        yield aiohttp.UnixConnector(str(path))
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def node(
    at: Scene, directory: Path, settings: Mapping[str, str]
) -> AsyncIterator[tuple[RunningServer, ApiClient]]:
    """A server in the node's namespace, and a caller in that of the callers."""
    with running_server(directory / "data", settings=settings, prefix=at.node.prefix) as server:
        port = int(server.base_url.rpartition(":")[2])
        async with (
            door(at.callers, directory / "door", at.api_address, port) as connector,
            ApiClient(server, connector) as api,
        ):
            yield server, api


class RemotePublisher:
    """A publisher in a namespace; what it offers is carried by who calls the API."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **asked: Any) -> dict[str, Any]:
        """Say something, and hear the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(asked).encode() + b"\n")
        await stdin.drain()
        async with asyncio.timeout(START_S_MAX):
            line = await stdout.readline()
        assert line, "the publisher ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def publish(
        self, api: ApiClient, entry_point: dict[str, Any], *, servers: list[IceServer], relayed: bool
    ) -> tuple[str, float]:
        """Publish by way of the API's caller; the recorder's answer, and how long connecting took."""
        offered = await self.ask(servers=msgspec.to_builtins(servers), relayed=relayed)
        answer = await api.whip(entry_point, offered["offer"])
        connected = await self.ask(answer=answer)
        return answer, float(connected["connected"])


@asynccontextmanager
async def publishing(namespace: Namespace) -> AsyncIterator[RemotePublisher]:
    """A publisher there."""
    process = await asyncio.create_subprocess_exec(
        *namespace.prefix, sys.executable, "-m", "tests.isolation.publisher",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield RemotePublisher(process)
    finally:
        process.kill()
        await process.wait()


def servers_of(recording: dict[str, Any]) -> list[IceServer]:
    """What a publisher of it is told to use."""
    return [msgspec.convert(each, IceServer) for each in recording["entry_point"]["ice_servers"]]
