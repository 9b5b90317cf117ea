"""A file of 100 MiB sent to a real server that is killed in the middle: nothing is lost."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from recorder.kernel.files.file import FILE_BYTES_MAX
from recorder.kernel.limits import MIB
from tests.support.server import RunningServer, running_server

ALLOWED = {"BYSTANDER_FILES__AGENTS": "true", "BYSTANDER_FILES__CUSTOMERS": "true"}
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = bytes(range(256)) * 1024  # 256 KiB
MEMORY_MORE_BYTES_MAX = (
    48 * MIB
)  # while 100 MiB pass: two parts of 8 MiB, buffers, and what was imported late
WAIT_S = 60.0


class Sender:
    """A tus client that remembers nothing but where its upload is."""

    def __init__(self, server: RunningServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.peak = 0

    async def begin(self, length: int) -> str:
        async with self.session.post("/v1/conversations", json={}) as made:
            self.conversation = (await made.json())["id"]
        metadata = f"filename {base64.b64encode(b'large.bin').decode()}"
        headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata}
        path = f"/v1/conversations/{self.conversation}/uploads"
        async with self.session.post(path, headers=headers) as begun:
            assert begun.status == 201, await begun.text()
            return str(begun.headers["Location"])

    async def offset(self, upload: str) -> int:
        async with self.session.head(upload, headers=TUS) as answer:
            assert answer.status == 200
            return int(answer.headers["Upload-Offset"])

    async def append(self, upload: str, start: int, stop: int, *, kill_at: int | None = None) -> None:
        headers = {
            **TUS,
            "Upload-Offset": str(start),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(stop - start),
        }
        data = self._pieces(start, stop, kill_at)
        async with self.session.patch(upload, headers=headers, data=data) as answer:
            assert answer.status == 204, await answer.text()

    async def _pieces(self, start: int, stop: int, kill_at: int | None) -> AsyncIterator[bytes]:
        while start < stop:
            begin = start % len(CHUNK)
            piece = CHUNK[begin : begin + stop - start]
            yield piece
            start += len(piece)
            self.look()
            if kill_at is not None and start >= kill_at:
                await asyncio.to_thread(self.server.kill)
                return

    def look(self) -> None:
        if psutil.pid_exists(self.server.pid):
            self.peak = max(self.peak, psutil.Process(self.server.pid).memory_info().rss)

    async def stored(self, upload: str) -> str:
        """The link to what was stored, once it is."""
        path = upload.replace("/uploads/", "/files/")
        async with asyncio.timeout(WAIT_S):
            while True:
                async with self.session.get(path) as answer:
                    file = await answer.json()
                self.look()
                if file["state"] == "AVAILABLE":
                    return str(file["links"]["content"])
                await asyncio.sleep(0.1)


@pytest.mark.faults
async def test_a_hundred_megabytes_survive_a_killed_server(tmp_path: Path) -> None:
    length = FILE_BYTES_MAX
    with running_server(tmp_path, settings=ALLOWED) as first:
        async with aiohttp.ClientSession(first.base_url, headers=first.headers) as session:
            sender = Sender(first, session)
            upload = await sender.begin(length)
            with pytest.raises(aiohttp.ClientError):
                await sender.append(upload, 0, length, kill_at=length // 2)
    with running_server(tmp_path, settings=ALLOWED) as second:
        async with aiohttp.ClientSession(second.base_url, headers=second.headers) as session:
            again = Sender(second, session)
            offset = await again.offset(upload)
            assert length // 4 < offset <= length // 2 + len(CHUNK)  # all but what was on its way
            again.look()
            before = again.peak
            await again.append(upload, offset, length)
            link = await again.stored(upload)
            digest = hashlib.sha256()
            async with aiohttp.ClientSession() as anybody, anybody.get(link) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Content-Disposition"].startswith("attachment")
                assert answer.content_type == "application/octet-stream"
                async for chunk in answer.content.iter_chunked(len(CHUNK)):
                    digest.update(chunk)
                    again.look()
            assert digest.digest() == hashlib.sha256(CHUNK * (length // len(CHUNK))).digest()
            print(f"went on at {offset} of {length}; {(again.peak - before) / MIB:.1f} MiB more memory")  # noqa: T201
            assert again.peak - before < MEMORY_MORE_BYTES_MAX
