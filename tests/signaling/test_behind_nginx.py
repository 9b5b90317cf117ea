"""Links behind a reverse proxy with TLS and a path: through Debian's nginx, as docs/operate.md has it."""

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from recorder.kernel.conversation import Role
from signaling.http.rate_limits import RateLimit, RateLimits
from signaling.room.core.messages import Hello, Publish, Welcome, decode_server, encode
from tests.support.fake_ports import API_KEY
from tests.support.http import OFFER, Served, bearer, serve
from tests.support.nginx_proxy import proxied
from tests.support.ports import free_port

LIMITS = RateLimits(address=RateLimit(40, 1000.0))


class Proxied:
    """A browser's side of it: sees the proxy and nothing else."""

    def __init__(
        self, url: str, trust: ssl.SSLContext, served: Served, session: aiohttp.ClientSession
    ) -> None:
        self.url = url
        self.trust = trust
        self.served = served
        self.session = session

    async def get(self, link: str, **more: str) -> aiohttp.ClientResponse:
        assert link.startswith(self.url), link
        return await self.session.get(URL(link, encoded=True), ssl=self.trust, headers=more)


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Proxied]:
    port = free_port()
    public = f"https://localhost:{port}/recorder"
    async with serve(public_url=public, trusted_proxies=["127.0.0.1"], rate_limits=LIMITS) as served:
        upstream = str(served.client.make_url("")).rstrip("/")
        with proxied(tmp_path / "nginx", port, upstream) as (url, trust):
            async with aiohttp.ClientSession() as session:
                yield Proxied(url, trust, served, session)


async def test_links_of_a_recording_lead_back_through_the_proxy(behind: Proxied) -> None:
    made = await behind.served.recording()
    await behind.served.fake.finish(made["id"])
    answer = await behind.get(f"{behind.url}/v1/recordings/{made['id']}", **bearer(API_KEY))
    links = (await answer.json())["links"]
    assert (await behind.get(links["media"])).status in (200, 409)
    watch = await behind.get(links["watch"])
    assert watch.status == 200
    (media,) = re.findall(r'<video[^>]* src="([^"]+)"', await watch.text())
    assert media.startswith("/recorder/v1/")


async def test_what_is_created_is_found_by_its_location(behind: Proxied) -> None:
    async with behind.session.post(
        behind.url + "/v1/conversations", json={}, headers=bearer(API_KEY), ssl=behind.trust
    ) as answer:
        assert answer.status == 201
        location = answer.headers["Location"]
    assert (await behind.get(location, **bearer(API_KEY))).status == 200


async def test_a_page_finds_its_files(behind: Proxied) -> None:
    for page in ("/", "/room/conv_x", "/console", "/console/recordings/rec_x"):
        answer = await behind.get(behind.url + page)
        assert answer.status == 200
        for reference in re.findall(r'(?:src|href)="([^"#]+)"', await answer.text()):
            found = await behind.get(str(answer.url.join(URL(reference))))
            assert found.status == 200, reference


async def test_a_room_talks_and_publishes(behind: Proxied) -> None:
    made = await behind.served.recording()
    add = behind.served.fake.ports.conversations.add_participant
    ada = await add(made["conversation"], role=Role.AGENT, name="Ada")
    address = f"{behind.url}/room/{made['conversation']}/socket".replace("https", "wss")
    async with behind.session.ws_connect(address, ssl=behind.trust) as room:
        await room.send_str(encode(Hello(token=ada.token or "", instance="page")))
        heard = [decode_server(await room.receive_str(timeout=10)) for _ in range(2)]
        while not isinstance(heard[-1], Publish):
            heard.append(decode_server(await room.receive_str(timeout=10)))
    assert isinstance(heard[0], Welcome)
    headers = bearer(heard[-1].token) | {"Content-Type": "application/sdp"}
    async with behind.session.post(
        behind.url + heard[-1].url, data=OFFER, headers=headers, ssl=behind.trust
    ) as answer:
        assert answer.status == 201, await answer.text()
        location = answer.headers["Location"]
    assert location.startswith(behind.url + "/whip/")
    async with behind.session.delete(location, headers=headers, ssl=behind.trust) as ended:
        assert ended.status == 200


async def test_who_asks_is_counted_by_their_own_address(behind: Proxied) -> None:
    forged = {"X-Forwarded-For": "203.0.113.1"}  # the proxy adds who really asks behind it
    statuses = [(await behind.get(behind.url + "/healthz", **forged)).status for _ in range(3)]
    assert statuses == [200] * 3
