"""A VideoRoom as a subscriber sees it, who is in no list of participants: who publishes, and their offers."""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from recorder.kernel.connectors.source import FeedId, JanusSource
from recorder.kernel.errors import BystanderError, Fault
from signaling.connectors.connector import not_understood, refused
from signaling.connectors.janus.api import Description, Handle, JanusApi, Message
from signaling.connectors.janus.people import Feed, Stream

PLUGIN = "janus.plugin.videoroom"
FEEDS_MAX = 64  # more than a recording has seats for

NO_SUCH_ROOM, UNAUTHORIZED, NO_SUCH_FEED = 426, 433, 428  # as the plugin counts its errors

T = TypeVar("T")


class VideoRoom:
    """One room, over one session of the API."""

    def __init__(self, api: JanusApi, source: JanusSource) -> None:
        self._api = api
        self._source = source
        self._control: Handle = 0

    async def open(self) -> None:
        """Attach; nothing is joined by that."""
        self._control = await self._api.attach(PLUGIN, lambda message: None)

    async def feeds(self) -> list[Feed]:
        """Who publishes now. Raises BystanderError: room_not_found, and what the API raises."""
        body = {"request": "listparticipants", "room": self._source.room}
        data = _checked(await self._api.message(self._control, body))
        listed = _converted(data.get("participants"), list[Feed])
        return [feed for feed in listed if feed.publisher][:FEEDS_MAX]

    async def subscribe(self, feed: FeedId, mids: list[str] | None = None) -> "Subscription":
        """Subscribe to a feed, or to some of its streams; nothing flows before `start`.

        Raises BystanderError: room_not_found, unauthorized, feed_not_found.
        """
        subscription = Subscription(self._api)
        await subscription.open()
        streams = [{"feed": feed}] if mids is None else [{"feed": feed, "mid": mid} for mid in mids]
        body: dict[str, Any] = {"request": "join", "ptype": "subscriber", "room": self._source.room}
        body["streams"] = streams
        for name, value in (("pin", self._source.pin), ("token", self._source.token)):
            if value is not None:
                body[name] = value
        try:
            await subscription.join(body)
        except BaseException:
            await subscription.close()
            raise
        return subscription


class Subscription:
    """One handle: what it offers, and how its connection is. `offer` is there after `join`."""

    def __init__(self, api: JanusApi) -> None:
        self._api = api
        self._handle: Handle = 0
        self.offer = ""
        self.streams: list[Stream] = []
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[str] = loop.create_future()

    async def open(self) -> None:
        self._handle = await self._api.attach(PLUGIN, self._heard)

    async def join(self, body: dict[str, Any]) -> None:
        """Join as a subscriber; Janus answers with its offer."""
        answer = await self._api.message(self._handle, body)
        data = _checked(answer)
        if answer.jsep is None or answer.jsep.type != "offer":
            raise not_understood("Janus offers nothing.")
        self.offer = answer.jsep.sdp
        self.streams = _converted(data.get("streams", []), list[Stream])

    async def start(self, answer: str) -> None:
        """Give our answer: media flows from now on."""
        request = {"request": "start"}
        _checked(await self._api.message(self._handle, request, Description("answer", answer)))

    async def until_connected(self) -> bool:
        """Wait for the connection; False where it ended before."""
        first: list[asyncio.Future[Any]] = [self._connected, self._ended]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        return self._connected.done()

    async def ended(self) -> str:
        """Wait for the end of the connection, and give Janus' reason."""
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Give the handle back."""
        if self._handle:
            with suppress(BystanderError):  # it went with the session
                await self._api.detach(self._handle)

    def _heard(self, message: Message) -> None:
        if message.janus == "webrtcup":
            if not self._connected.done():
                self._connected.set_result(None)
        elif message.janus in ("hangup", "detached"):
            self._end("hung_up")
        elif message.janus == "event" and message.jsep is not None:
            self._end("offered_again")

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)


def _checked(answer: Message) -> dict[str, Any]:
    """What the plugin answered; raises what it refused."""
    data = answer.plugindata.data
    code = data.get("error_code")
    if code is None:
        return data
    if code == NO_SUCH_ROOM:
        raise BystanderError("room_not_found", "There is no such room.", fault=Fault.PEER, status=502)
    if code == UNAUTHORIZED:
        raise refused("unauthorized", "The room wants another PIN or token.")
    if code == NO_SUCH_FEED:
        raise BystanderError("feed_not_found", "The feed has gone.", fault=Fault.PEER, status=502)
    raise BystanderError("request_failed", f"The room refuses: {code}.", fault=Fault.PEER, status=502)


def _converted(value: object, type_: type[T]) -> T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise not_understood("The room answers with something else than was asked for.") from None
