"""Servers that lead a connector elsewhere: it goes to what its source names, and to nothing else."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from recorder.kernel.connectors.source import JanusSource, WhepSource
from recorder.kernel.errors import BystanderError
from signaling.connectors.janus.connector import JanusConnector
from signaling.connectors.whep.connector import WhepConnector
from tests.connectors.scenes import LOOPBACK
from tests.support.intake import ReceivingIntake


class Elsewhere:
    """A server that nobody has named, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.headers.get('Authorization')}")
        return web.Response()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_janus_that_redirects_is_not_followed(status: int) -> None:
    elsewhere = Elsewhere()
    async with TestServer(elsewhere.app()) as other:

        async def janus(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{other.port}/"})

        app = web.Application()
        app.router.add_get("/", janus)
        async with TestServer(app) as server:
            source = JanusSource(url=f"ws://127.0.0.1:{server.port}/", room=1)
            with pytest.raises(BystanderError, match="unreachable"):
                await JanusConnector(source, LOOPBACK).run(ReceivingIntake())
    assert elsewhere.asked == []


async def test_a_whep_session_is_of_the_streams_origin() -> None:
    elsewhere, intake = Elsewhere(), ReceivingIntake()
    async with TestServer(elsewhere.app()) as other:

        async def whep(request: web.Request) -> web.Response:
            location = {"Location": f"http://127.0.0.1:{other.port}/session"}
            return web.Response(status=201, text="v=0", content_type="application/sdp", headers=location)

        app = web.Application()
        app.router.add_post("/whep", whep)
        async with TestServer(app) as server:
            source = WhepSource(url=f"http://127.0.0.1:{server.port}/whep", token="of this origin alone")
            with pytest.raises(BystanderError, match="protocol_error"):
                await WhepConnector(source, LOOPBACK).run(intake)
    assert elsewhere.asked == []
    assert intake.names() == []
