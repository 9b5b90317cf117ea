"""Debian's Firefox, driven by its own remote protocol (Marionette): enough of it to ask a page's <video>."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

PROGRAM = "firefox-esr"
START_S_MAX = 60.0
POLL_S = 0.1


class Firefox:
    """One session in one window."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = 0

    async def call(self, command: str, **parameters: Any) -> Any:
        """One command; a RuntimeError with what Firefox says is wrong."""
        self._sent += 1
        message = json.dumps([0, self._sent, command, parameters])
        self._writer.write(f"{len(message.encode())}:{message}".encode())
        _, _, error, result = await self.received()
        if error is not None:
            raise RuntimeError(f"{command}: {error.get('message')}")
        return result

    async def received(self) -> Any:
        size = await self._reader.readuntil(b":")
        return json.loads(await self._reader.readexactly(int(size[:-1])))

    async def evaluate(self, script: str, *arguments: object) -> Any:
        """What a function of these arguments, given as text, promises."""
        text = f"""const done = arguments[arguments.length - 1];
            const asked = Promise.resolve(({script})(...arguments));
            asked.then(value => done([value]), error => done(String(error)));"""
        answer = (await self.call("WebDriver:ExecuteAsyncScript", script=text, args=list(arguments)))["value"]
        if not isinstance(answer, list):
            raise RuntimeError(answer)
        return answer[0]


@asynccontextmanager
async def firefox(**preferences: object) -> AsyncIterator[Firefox]:
    """A browser with a fresh profile, and these preferences, for the length of the block."""
    profile, port = Path(tempfile.mkdtemp()), free_port()
    told = {"marionette.port": port, **preferences}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in told.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "--headless", "--marionette", "--no-remote", "--profile", str(profile)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_S_MAX):
            reader, writer = await _connected(port)
            browser = Firefox(reader, writer)
            await browser.received()  # it introduces itself
            await browser.call("WebDriver:NewSession")
        yield browser
        writer.close()
    finally:
        process.kill()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(POLL_S)
