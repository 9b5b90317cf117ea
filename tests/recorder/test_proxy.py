"""The proxy: whom it carries, and that it carries what is sent to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from recorder.settings.loading import build
from recorder.webhooks.sender import Sender
from storage.stores.sftp.tunnel import open_tunnel

NO_PROXY = ["db.example.org", ".inside.example.org", "10.0.0.0/8", "2001:db8::/32"]
PROXY = Proxy(url="http://me:a%20word@proxy.example.org:3128", no_proxy=NO_PROXY)


@pytest.mark.parametrize(
    ("url", "carried"),
    [
        ("https://s3.example.org/bucket", True),
        ("https://db.example.org", False),
        ("https://DB.example.org.:8443/", False),
        ("https://other-db.example.org", True),
        ("https://a.inside.example.org", False),
        ("https://inside.example.org", True),
        ("http://10.1.2.3:9000", False),
        ("http://[2001:db8::7]:9000", False),
        ("http://11.1.2.3", True),
        ("http://localhost:9000", False),
        ("http://127.0.0.9:9000", False),
        ("http://[::1]:9000", False),
    ],
)
def test_who_is_reached_without_it(url: str, carried: bool) -> None:
    assert PROXY.for_url(url) == (PROXY.url if carried else None)
    assert Proxy(url=PROXY.url, no_proxy=["*"]).for_url(url) is None


def test_its_password_is_shown_nowhere() -> None:
    assert "word" not in repr(PROXY)
    settings = build({"proxy": {"url": PROXY.url}})
    assert "word" not in repr(settings.proxy) and settings.proxy.as_proxy() == Proxy(url=PROXY.url)
    with pytest.raises(BystanderError) as refused:
        build({"proxy": {"url": "ftp://me:a%20word@proxy"}})
    assert refused.value.code == "invalid_settings" and "word" not in refused.value.detail


@asynccontextmanager
async def listener(*answers: bytes) -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A proxy that notes the heads of requests, and answers each connection with the next of these."""
    heads: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0))
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Proxy(url=f"http://me:secret@127.0.0.1:{port}"), heads


def sending(proxy: Proxy) -> Sender:
    return Sender(allow_private=False, timeout_s=5, connections_max=2, proxy=proxy)


async def test_a_webhook_goes_through_it_with_its_credentials() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    refused = b"HTTP/1.1 403 Filtered\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with listener(ok, refused) as (proxy, heads), sending(proxy) as sender:
        taken = await sender.send("http://hooks.example.org/here", {}, b"{}")
        assert (taken.status, taken.failure) == (200, None)
        assert heads[0].startswith(b"POST http://hooks.example.org/here HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in heads[0]
        assert (await sender.send("https://hooks.example.org/", {}, b"{}")).failure == "proxy_refused"
        assert heads[1].startswith(b"CONNECT hooks.example.org:443 ")
        assert (await sender.send("http://10.0.0.1/", {}, b"{}")).failure == "private_network"
    async with sending(proxy) as sender:
        assert (await sender.send("http://hooks.example.org/", {}, b"{}")).failure == "proxy_unreachable"


async def test_a_tunnel_gives_what_is_behind_it() -> None:
    async with listener(b"HTTP/1.1 200 yes\r\n\r\nSSH-2.0-", b"HTTP/1.1 403 no\r\n\r\n", b"SSH-2.0-") as (
        proxy,
        heads,
    ):
        tunnel = await open_tunnel(proxy, "store.example.org", 22)
        with tunnel:
            assert await asyncio.get_running_loop().sock_recv(tunnel, 64) == b"SSH-2.0-"
        assert heads[0].startswith(b"CONNECT store.example.org:22 HTTP/1.1\r\n")
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await open_tunnel(proxy, "store.example.org", 22)
