"""A store that answers a HEAD with a body, which HTTP forbids: why it refused is found out all the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.store import ObjectStore
from tests.storage.stores import s3_settings

REFUSALS = {"NoSuchKey": 404, "NoSuchBucket": 404, "SignatureDoesNotMatch": 403}


class Refusing:
    """Refuses every request with `code`, as Swift does."""

    code = "NoSuchKey"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        status = REFUSALS[self.code]
        head = f"HTTP/1.1 {status} No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
        body = f"<Error><Code>{self.code}</Code></Error>".encode()
        chunk = b"" if request.startswith(b"HEAD") else b"%x\r\n%b\r\n" % (len(body), body)
        writer.write(head + chunk + b"0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def refusing() -> AsyncIterator[tuple[Refusing, ObjectStore]]:
    behaviour = Refusing()
    server = await asyncio.start_server(behaviour.serve, "127.0.0.1", 0)
    store = open_store(s3_settings(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    yield behaviour, store
    await store.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("said", "code"), [("NoSuchBucket", "bucket_missing"), ("SignatureDoesNotMatch", "store_denied")]
)
async def test_why_the_bucket_cannot_be_used(
    refusing: tuple[Refusing, ObjectStore], said: str, code: str
) -> None:
    behaviour, store = refusing
    behaviour.code = said
    with pytest.raises(BystanderError) as caught:
        await store.check()
    assert caught.value.code == code


async def test_that_an_object_is_missing(refusing: tuple[Refusing, ObjectStore]) -> None:
    with pytest.raises(BystanderError) as caught:
        await refusing[1].head("call.mp4")
    assert caught.value.code == "object_missing"
