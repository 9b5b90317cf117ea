"""A page without a browser: what it says to a room's socket, and what it hears."""

import asyncio
from typing import Any, TypeVar

from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient

from recorder.kernel.conversation import Participant
from signaling.room.core.messages import ClientMessage, Hello, decode_server, encode

T = TypeVar("T")
WAIT_S = 5.0


class RoomClient:
    """One socket of one participant; `expect` skips nothing silently: what it passed over is in `passed`."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.passed: list[Any] = []

    @classmethod
    async def connect(cls, client: TestClient[Any, Any], conversation: str) -> "RoomClient":
        return cls(await client.ws_connect(f"/room/{conversation}/socket"))

    @classmethod
    async def enter(
        cls, client: TestClient[Any, Any], participant: Participant, instance: str = "page"
    ) -> "RoomClient":
        """Connect, and say who this is."""
        made = await cls.connect(client, participant.conversation)
        assert participant.token is not None
        await made.say(Hello(token=participant.token, instance=instance))
        return made

    async def say(self, message: ClientMessage | Hello) -> None:
        await self.socket.send_str(encode(message))

    async def expect(self, kind: type[T]) -> T:
        """The next message of this kind."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.socket.receive()
                assert message.type is WSMsgType.TEXT, (message, self.passed)
                said = decode_server(message.data)
                if isinstance(said, kind):
                    return said
                self.passed.append(said)

    async def closed(self) -> int:
        """The code that the server closes with."""
        async with asyncio.timeout(WAIT_S):
            while (message := await self.socket.receive()).type is WSMsgType.TEXT:
                self.passed.append(decode_server(message.data))
        assert self.socket.close_code is not None
        return self.socket.close_code
