"""A VideoRoom as a subscriber sees it, who is in no list of participants: who publishes, and their offers."""

import asyncio
from collections.abc import Sequence
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
OFFERS_PENDING_MAX = 8  # Janus makes no other offer before the last one is answered

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

    async def streams(self, feed: FeedId) -> list[Stream]:
        """What a feed has now; found by a subscription that is never begun.

        Raises BystanderError: room_not_found, unauthorized, feed_not_found.
        """
        probe = Subscription(self._api, feed)
        await probe.open()
        try:
            return _streams(await probe.join(self._join([{"feed": feed}])))
        finally:
            await probe.close()

    async def subscribe(self, feed: FeedId, mids: list[str]) -> "Subscription":
        """Subscribe to some of a feed's streams; nothing flows before `start`. Raises as `streams` does."""
        subscription = Subscription(self._api, feed, mids)
        await subscription.open()
        try:
            await subscription.join(self._join([{"feed": feed, "mid": mid} for mid in mids]))
        except BaseException:
            await subscription.close()
            raise
        return subscription

    def _join(self, streams: list[dict[str, Any]]) -> dict[str, Any]:
        source = self._source
        body: dict[str, Any] = {"request": "join", "ptype": "subscriber", "room": source.room}
        shown = (("pin", source.pin), ("token", source.token))
        return {**body, "streams": streams, **{name: value for name, value in shown if value is not None}}


class Subscription:
    """One handle, and its offers: the first is there after `join`, others come as streams do."""

    def __init__(self, api: JanusApi, feed: FeedId, mids: Sequence[str] = ()) -> None:
        self._api = api
        self._feed = feed
        self._mids = list(mids)
        self._handle: Handle = 0
        self.offer = ""
        self._offers: asyncio.Queue[str | None] = asyncio.Queue(OFFERS_PENDING_MAX)  # None: it has ended

    async def open(self) -> None:
        self._handle = await self._api.attach(PLUGIN, self._heard)

    async def join(self, body: dict[str, Any]) -> dict[str, Any]:
        """Join as a subscriber; Janus answers with its first offer, and with what it is about."""
        answer = await self._api.message(self._handle, body)
        data = _checked(answer)
        if answer.jsep is None:
            raise not_understood("Janus offers nothing.")
        self.offer = answer.jsep.sdp
        return data

    async def start(self, answer: str) -> None:
        """Give our answer to the offer before."""
        await self._ask({"request": "start"}, Description("answer", answer))

    async def next_offer(self) -> str | None:
        """Wait for the next offer; None where the connection has ended."""
        return await self._offers.get()

    async def change_to(self, mids: list[str]) -> None:
        """Subscribe to other streams of the feed; an offer follows."""
        more = [{"feed": self._feed, "mid": mid} for mid in mids if mid not in self._mids]
        less = [{"feed": self._feed, "mid": mid} for mid in self._mids if mid not in mids]
        self._mids = mids
        if less:
            await self._ask({"request": "unsubscribe", "streams": less})
        if more:
            await self._ask({"request": "subscribe", "streams": more})

    async def restart_ice(self) -> None:
        """Ask Janus for an offer with another ICE session."""
        await self._ask({"request": "configure", "restart": True})

    async def close(self) -> None:
        """Give the handle back."""
        if self._handle:
            with suppress(BystanderError):  # it went with the session
                await self._api.detach(self._handle)

    async def _ask(self, body: dict[str, Any], jsep: Description | None = None) -> None:
        answer = await self._api.message(self._handle, body, jsep)
        _checked(answer)
        self._heard(answer)

    def _heard(self, message: Message) -> None:
        if message.janus in ("hangup", "detached"):
            self._queue(None)
        elif message.jsep is not None and message.jsep.type == "offer":
            self._queue(message.jsep.sdp)

    def _queue(self, entry: str | None) -> None:
        if not self._offers.full():  # else it is about to end already
            self._offers.put_nowait(entry)


def _streams(data: dict[str, Any]) -> list[Stream]:
    return _converted(data.get("streams", []), list[Stream])


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
