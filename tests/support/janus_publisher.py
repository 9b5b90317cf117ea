"""Somebody who publishes in a VideoRoom: stock aiortc, by Janus' own protocol."""

import asyncio
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import aiohttp
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.support.aiortc_peer import MovingBar

ANSWER_S_MAX = 15.0
LOOK_S = 0.05


class JanusClient:
    """A session of Janus with one handle of the VideoRoom; says one thing at a time."""

    def __init__(self, url: str, *, api_secret: str | None = None) -> None:
        self._url = url
        self._shown = {"apisecret": api_secret} if api_secret else {}
        self._session = 0
        self._handle = 0
        self._count = 0
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> "JanusClient":
        self._client = aiohttp.ClientSession()
        self._socket = await self._client.ws_connect(self._url, protocols=("janus-protocol",))
        self._session = (await self.ask({"janus": "create"}))["data"]["id"]
        plugin = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        self._handle = (await self.ask(plugin))["data"]["id"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._client.close()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What Janus answers in the end; events on the way are kept."""
        self._count += 1
        transaction = f"t{self._count}"
        ids = {"session_id": self._session} if self._session else {}
        ids |= {"handle_id": self._handle} if self._handle else {}
        await self._socket.send_json({**request, **ids, **self._shown, "transaction": transaction})
        async with asyncio.timeout(ANSWER_S_MAX):
            while True:
                answer: dict[str, Any] = await self._socket.receive_json()
                if answer.get("transaction") == transaction and answer["janus"] != "ack":
                    return answer
                self.events.append(answer)

    async def room(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """What the room answers; raises AssertionError where it refuses."""
        answer = await self.ask({"janus": "message", "body": body, **({"jsep": jsep} if jsep else {})})
        data = answer["plugindata"]["data"]
        assert "error_code" not in data, data
        return {**data, "jsep": answer.get("jsep")}

    async def participants(self, room: int) -> list[dict[str, Any]]:
        """Whoever the room lists."""
        listed: list[dict[str, Any]] = (await self.room({"request": "listparticipants", "room": room}))[
            "participants"
        ]
        return listed


class JanusPublisher:
    """Joins a room and sends sound and a moving bar until it is closed."""

    def __init__(
        self,
        url: str,
        room: int,
        display: str,
        *,
        audio: bool = True,
        pictures: int = 1,
        descriptions: Sequence[str | None] = (),
        pin: str | None = None,
        token: str | None = None,
        api_secret: str | None = None,
    ) -> None:
        self._client = JanusClient(url, api_secret=api_secret)
        self._join: dict[str, Any] = {"request": "join", "ptype": "publisher", "room": room}
        self._join["display"] = display
        self._join |= {name: value for name, value in (("pin", pin), ("token", token)) if value is not None}
        self._descriptions = descriptions
        self.connection = RTCPeerConnection()
        if audio:
            self.connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
        for _ in range(pictures):
            self.connection.addTransceiver(MovingBar(), direction="sendonly")
        self.id = 0
        self._published = False

    async def __aenter__(self) -> "JanusPublisher":
        await self._client.__aenter__()
        self.id = (await self._client.room(self._join))["id"]
        await self.negotiate()
        async with asyncio.timeout(ANSWER_S_MAX):
            while not await self._is_listed():  # noqa: ASYNC110 - Janus tells nobody when a feed can be had
                await asyncio.sleep(LOOK_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()
        await self._client.__aexit__(kind, error, trace)

    async def negotiate(self) -> None:
        """Offer what there is now."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        mids = [one.mid for one in self.connection.getTransceivers()]
        described = [
            {"mid": mid, "description": text}
            for mid, text in zip(mids, self._descriptions, strict=False)
            if text is not None
        ]
        request = "configure" if self._published else "publish"
        self._published = True
        body = {"request": request, **({"descriptions": described} if described else {})}
        jsep = {"type": "offer", "sdp": _for_janus(self.connection.localDescription.sdp)}
        answer = (await self._client.room(body, jsep))["jsep"]
        await self.connection.setRemoteDescription(RTCSessionDescription(**answer))

    async def _is_listed(self) -> bool:
        listed = await self._client.participants(self._join["room"])
        return any(one["id"] == self.id and one["publisher"] for one in listed)

    async def show(self, track: Any, description: str | None = None) -> None:
        """Send one stream more."""
        before = len(self.connection.getTransceivers())
        self.connection.addTransceiver(track, direction="sendonly")
        unnamed = [None] * (before - len(self._descriptions))
        self._descriptions = [*self._descriptions, *unnamed, description]
        await self.negotiate()


def _for_janus(sdp: str) -> str:
    """Janus takes the last fingerprint for a SHA-256, whatever it says it is."""
    return re.sub(r"a=fingerprint:sha-(384|512) .*\r\n", "", sdp)
