"""The application on a loopback port with a fake server behind it, and what every test says to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from yarl import URL

from recorder.kernel.conversation import Role
from signaling.app import build_app
from tests.support.fake_ports import API_KEY, FakeServer

LINK_SECRET = b"a secret for tests only"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"


@dataclass
class Served:
    """A client, and the fake server that it reaches."""

    client: TestClient[Any, Any]
    fake: FakeServer
    registry: CollectorRegistry

    @property
    def key(self) -> dict[str, str]:
        """The header of a caller with the API key."""
        return bearer(API_KEY)

    async def conversation(self) -> str:
        """A new conversation's id."""
        made = await self.fake.ports.conversations.create(template=None, external_id=None, metadata={})
        return made.id

    async def token(self, conversation: str, role: Role) -> dict[str, str]:
        """The header of a new participant in this role."""
        made = await self.fake.ports.conversations.add_participant(conversation, role=role, name="Somebody")
        assert made.token is not None
        return bearer(made.token)

    async def recording(self, conversation: str | None = None) -> dict[str, Any]:
        """Start a recording through the API; its JSON."""
        conversation = conversation or await self.conversation()
        answer = await self.client.post(f"/v1/conversations/{conversation}/recordings", headers=self.key)
        assert answer.status == 201
        return dict(await answer.json())

    async def entry_point(self) -> tuple[str, dict[str, str]]:
        """The path of a new recording's entry point, and the header with its token."""
        made = (await self.recording())["entry_point"]
        return "/whip/" + made["url"].rpartition("/")[2], bearer(made["token"])


def bearer(token: str) -> dict[str, str]:
    """The Authorization header of a token."""
    return {"Authorization": f"Bearer {token}"}


def local(link: str) -> str:
    """A link without scheme and host, as the test client wants it."""
    return URL(link).path_qs


@asynccontextmanager
async def serve(fake: FakeServer | None = None, **options: Any) -> AsyncIterator[Served]:
    """Serve an application for the length of the block; `options` are build_app's."""
    fake, registry = fake or FakeServer(), CollectorRegistry()
    given = {"link_secret": LINK_SECRET, "version": "0.0.0", "clock": fake.clock, **options}
    app = build_app(fake.ports, registry=registry, **given)
    async with TestClient(TestServer(app)) as client:
        yield Served(client, fake, registry)


async def problem(answer: ClientResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that this is a well-formed problem document with this status and code; return it."""
    assert answer.status == status, (answer.status, await answer.text())
    assert answer.content_type == "application/problem+json"
    said = await answer.json()
    assert {"type", "title", "status", "detail", "code", "fault", "instance"} <= set(said)
    assert said["status"] == status
    assert said["instance"].endswith(answer.headers["X-Request-Id"])
    assert code is None or said["code"] == code, said
    return dict(said)
