"""Answers that are none, from what stands before a store: each is a failure like others, and no success."""

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest
from aiohttp import web

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import KIB, PART_SIZE_BYTES_MIN
from storage.open_store import open_store
from storage.settings import PART_SIZE_BYTES_MAX
from storage.store import MultipartUpload, ObjectProperties, ObjectStore, Part
from storage.stores.sftp.connection import WRITE_CHUNK_BYTES, patience_s
from tests.storage.stores import s3_settings
from tests.support.azurite import azure_settings
from tests.support.loopback import serving
from tests.support.sftp_server import sftp_server

XML = "<?xml version='1.0'?>"
PAGE = "<html><body>Welcome</body></html>"
ODD_HEADERS = {"Content-Range": "bytes what", "Date": "never", "Last-Modified": "never", "ETag": ""}
BODIES = {
    "nothing": "",
    "a page": PAGE,
    "an end that is missing": f"{XML}<BlockList><UncommittedBlocks><Blo",
    "no text": "\x00\x01\xff",
    "a size that is none": f"{XML}<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
    "<Size>many</Size></Contents></ListBucketResult>",
    "a time that is none": f"{XML}<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload>"
    "<Key>a</Key><Initiated>yesterday</Initiated></Upload></ListMultipartUploadsResult>",
    "a part without number": f"{XML}<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>x"
    "</PartNumber></Part></ListPartsResult>",
    "a block without size": f"{XML}<BlockList><UncommittedBlocks><Block><Name>MDAtMDE=</Name></Block>"
    "</UncommittedBlocks></BlockList>",
}
UPLOAD = MultipartUpload("a", "0" * 32)
PART = Part(number=1, offset=0, size=3, etag="x", md5="0" * 32)
Ask = Callable[[Any], Awaitable[object]]


async def every(listed: AsyncIterator[object]) -> list[object]:
    return [found async for found in listed]


CHANGES: dict[str, Ask] = {
    "put": lambda store: store.put("a", b"abc", ObjectProperties()),
    "begin": lambda store: store.uploads.begin("a", ObjectProperties()),
    "put_part": lambda store: store.uploads.put_part(UPLOAD, 1, 0, b"abc"),
    "complete": lambda store: store.uploads.complete(UPLOAD, [PART]),
    "abort": lambda store: store.uploads.abort(UPLOAD),
    "delete": lambda store: store.delete("a"),
}
QUESTIONS: dict[str, Ask] = {
    "head": lambda store: store.head("a"),
    "read": lambda store: every(store.read("a", 0, 10)),
    "list_objects": lambda store: every(store.list_objects()),
    "list_parts": lambda store: store.uploads.list_parts(UPLOAD),
    "list_uploads": lambda store: every(store.uploads.list_uploads()),
    "hold_of": lambda store: store.hold_of("a"),
}
ALONE: dict[str, Ask] = {  # of which only headers and a status are expected
    "check": lambda store: store.check(),
    "server_time": lambda store: store.server_time(),
}


@dataclass
class Gateway:
    """Answers every request with the same."""

    status: int = 200
    body: str = PAGE
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=self.status, body=self.body.encode("latin-1"), headers=self.headers)


@pytest.fixture(params=["s3", "azure"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Gateway, ObjectStore]]:
    before = Gateway()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", before.answer)
    async with serving(app) as origin:
        store = open_store(s3_settings(origin) if request.param == "s3" else azure_settings(origin))
        yield before, store
        await store.close()


async def test_a_gateways_page_is_no_success(gateway: tuple[Gateway, ObjectStore]) -> None:
    """Whichever status of success it has; a store would have said more, or, to a deletion, nothing."""
    before, store = gateway
    for name, ask in (CHANGES | QUESTIONS).items():
        for before.status in (200, 201, 202, 206):
            assert await refusal(ask(store)), f"{name} with {before.status}"


async def test_what_cannot_be_read_is_an_error_with_a_code(gateway: tuple[Gateway, ObjectStore]) -> None:
    """Nothing of a library's comes out; so an upload goes on, and asks the store what it has."""
    before, store = gateway
    for ask in (CHANGES | QUESTIONS | ALONE).values():
        for before.status in (200, 201):
            for before.body in BODIES.values():
                for before.headers in ({}, ODD_HEADERS):
                    code = await refusal(ask(store))
                    assert code is None or code.startswith("store_")


async def refusal(asked: Awaitable[object]) -> str | None:
    """The code of the store's error that came of it; None where it was taken for a success."""
    try:
        await asked
    except BystanderError as error:
        return error.code
    return None


async def test_a_redirection_to_itself_ends(gateway: tuple[Gateway, ObjectStore]) -> None:
    before, store = gateway
    before.status = 301
    with pytest.raises(BystanderError, match="store_"):
        await store.head("a")


class Taciturn(asyncssh.SFTPServer):
    """Says nothing of a file but that it is there: attributes are optional (draft-ietf-secsh-filexfer-02)."""

    def stat(self, path: bytes) -> Any:
        found: Any = super().stat(path)
        return found if stat.S_ISDIR(found.st_mode) else asyncssh.SFTPAttrs()

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs()


async def test_a_file_of_which_nothing_is_said_is_neither_missing_nor_empty(tmp_path: Path) -> None:
    """Or what is stored would be sent again, in place of itself."""
    async with sftp_server(tmp_path, Taciturn) as settings:
        store = open_store(settings)
        await store.put("a", b"0123456789", ObjectProperties())
        assert await refusal(store.head("a")) == "store_failed"
        assert await refusal(every(store.read("a", 0, 10))) == "store_failed"
        await store.close()


@pytest.mark.parametrize("body_bytes", [WRITE_CHUNK_BYTES, PART_SIZE_BYTES_MIN, PART_SIZE_BYTES_MAX])
def test_a_body_gets_on_over_a_slow_link(body_bytes: int) -> None:
    """At 20 KiB a second, also when nothing is waited for but the body."""
    assert patience_s(0.0, body_bytes) > body_bytes / (20 * KIB)


@pytest.mark.parametrize("name", ["by hand ", "odd\\name", "\x7f"])
@pytest.mark.parametrize("kind", ["directory", "sftp"])
async def test_files_that_can_be_no_objects_do_not_stop_a_list(kind: str, name: str, tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as settings:
        root = tmp_path / "remote" / "objects"
        store = open_store(settings if kind == "sftp" else msgspec.structs.replace(settings, url=str(root)))
        await store.put("a", b"1", ObjectProperties())
        await asyncio.to_thread((root / name).write_bytes, b"2")
        assert [info.key async for info in store.list_objects()] == ["a"]
        await store.close()
