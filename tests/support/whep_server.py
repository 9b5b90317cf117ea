"""A small WHEP server of our own, on aiortc: for tests only, in a process that can be killed.

`python -m tests.support.whep_server PORT TOKEN`. PUT and DELETE of /on say whether there is a stream.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from aiohttp import web
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.support.aiortc_peer import MovingBar
from tests.support.s3_servers import free_port

START_S_MAX = 30.0
LOOK_S = 0.05


class Server:
    """One stream, played to whoever shows the token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._on = False
        self._sessions: dict[str, RTCPeerConnection] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_put("/on", self._begin)
        app.router.add_delete("/on", self._end)
        app.router.add_post("/whep", self._play)
        app.router.add_delete("/whep/{session}", self._leave)
        return app

    async def _begin(self, request: web.Request) -> web.Response:
        self._on = True
        return web.Response()

    async def _end(self, request: web.Request) -> web.Response:
        self._on = False
        for session in list(self._sessions):
            await self._sessions.pop(session).close()
        return web.Response()

    async def _play(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.Response(status=401)
        if not self._on:
            return web.Response(status=404)
        connection = RTCPeerConnection()
        await connection.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        connection.addTrack(AudioStreamTrack())
        connection.addTrack(MovingBar())
        await connection.setLocalDescription(await connection.createAnswer())
        name = f"s{len(self._sessions)}"
        self._sessions[name] = connection
        text, headers = connection.localDescription.sdp, {"Location": f"/whep/{name}"}
        return web.Response(status=201, text=text, content_type="application/sdp", headers=headers)

    async def _leave(self, request: web.Request) -> web.Response:
        connection = self._sessions.pop(request.match_info["session"], None)
        if connection is not None:
            await connection.close()
        return web.Response()


class WhepServer:
    """The server in its process."""

    def __init__(self, port: int, token: str) -> None:
        self._command = [sys.executable, "-m", "tests.support.whep_server", str(port), token]
        self._base = f"http://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        """Begin, or begin again on the same port."""
        self._process = subprocess.Popen(self._command)

    @property
    def url(self) -> str:
        return f"{self._base}/whep"

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """There is a stream for the length of the block."""
        async with aiohttp.ClientSession() as client:
            await self._reached(client)
            yield
            if self._process.poll() is None:
                await client.delete(self._base + "/on")

    async def _reached(self, client: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(START_S_MAX):
            while True:
                try:
                    await client.put(self._base + "/on")
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(LOOK_S)
                else:
                    return

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def whep_server(token: str) -> Iterator[WhepServer]:
    """For the length of the block."""
    server = WhepServer(free_port(), token)
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    web.run_app(Server(sys.argv[2]).app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
