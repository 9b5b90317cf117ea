"""A Janus that says what is none of its protocol: told in one word, soon, and nothing is left running."""

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from recorder.kernel.connectors.source import JanusSource
from recorder.kernel.errors import BystanderError
from signaling.connectors.janus.connector import JanusConnector
from tests.connectors.scenes import LOOPBACK
from tests.support.intake import ReceivingIntake

SOON_S = 5.0
NESTED = '{"janus": "event", "plugindata": {"data": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}}"

Said = str | bytes
Garbage = Callable[[str], Said]
"""What is said to a request, by its transaction."""


def _success(transaction: str, **more: object) -> str:
    return json.dumps({"janus": "success", "transaction": transaction, **more})


GARBAGE: dict[str, Garbage] = {
    "nothing": lambda transaction: "",
    "no object": lambda transaction: "[1, 2]",
    "no message": lambda transaction: "{}",
    "another type": lambda transaction: '{"janus": 7}',
    "no id": lambda transaction: _success(transaction),
    "an id that is none": lambda transaction: _success(transaction, data={"id": "seven"}),
    "far too deep": lambda transaction: NESTED,
    "far too long": lambda transaction: " " * 2_000_000,
    "bytes": lambda transaction: b"\xff" * 100,
    "a surrogate": lambda transaction: '{"janus": "\\ud800"}',
    "no participants": lambda transaction: _success(transaction, data={"id": 1}),
    "participants that are none": lambda transaction: _success(
        transaction, data={"id": 1}, plugindata={"data": {"participants": [{"id": []}]}}
    ),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_it_ends_with_a_word(said: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.connectors.janus.api.ANSWER_S_MAX", 0.5)

    async def janus(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("janus-protocol",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                answer = said(message.json()["transaction"])
                await (socket.send_str(answer) if isinstance(answer, str) else socket.send_bytes(answer))
        return socket

    app = web.Application()
    app.router.add_get("/", janus)
    async with TestServer(app) as server:
        intake = ReceivingIntake()
        connector = JanusConnector(JanusSource(url=f"ws://127.0.0.1:{server.port}/", room=1), LOOPBACK)
        before = asyncio.all_tasks()
        with pytest.raises(BystanderError) as ended:
            async with asyncio.timeout(SOON_S):
                await connector.run(intake)
        assert ended.value.code in ("connection_lost", "protocol_error")
        assert intake.names() == []
        named = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in named if "Janus" in name]
