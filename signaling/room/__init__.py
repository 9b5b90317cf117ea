"""The built-in call room: people talk peer to peer in a browser, and the hidden participant listens in."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from recorder.kernel.clock import Clock, SystemClock
from signaling.ports import Ports
from signaling.room.core.announcement import RecordingLinks, RoomPolicy, own_links
from signaling.room.pages import Pages
from signaling.room.rooms import Rooms
from signaling.room.segmentation import segmentation_parts
from signaling.room.socket import RoomSocket
from signaling.room.terms import IceServers, RoomTerms, no_ice_servers
from signaling.routes.admission import Door

__all__ = ["EFFECTS", "ROOMS", "RoomPolicy", "add_room_routes"]

ROOMS = web.AppKey("rooms", Rooms)
EFFECTS = web.AppKey("effects", bool)  # whether pages find here what puts a background behind somebody


def add_room_routes(
    app: web.Application,
    ports: Ports,
    door: Door,
    *,
    policy: RoomPolicy | None = None,
    ice_servers: IceServers = no_ice_servers,
    recording_links: RecordingLinks = own_links,
    clock: Clock | None = None,
) -> None:
    """Mount the pages and the room's WebSocket on `app`; its rooms are closed when the app shuts down.

    `ice_servers` says which servers a participant's browser uses towards its peers: called at every welcome,
    so that credentials may be short-lived. `recording_links` makes the links of a recording that a page
    can follow without a header (`media` is played). `app[ROOMS].end(conversation)` empties the room of a
    conversation that has ended, `.expel` takes out whoever has a new token. `door` counts tokens.
    """
    clock = clock or SystemClock()
    rooms = app[ROOMS] = Rooms(RoomTerms(ports, clock, policy or RoomPolicy(), recording_links, ice_servers))
    parts = segmentation_parts()
    app[EFFECTS] = bool(parts)
    pages = Pages(parts)
    app.router.add_get("/", pages.landing)
    app.router.add_get("/room/{conversation}", pages.room)
    app.router.add_get("/room/{conversation}/socket", RoomSocket(ports, rooms, clock, door).serve)
    app.router.add_get("/web/{name}", pages.asset)

    async def watch_storage(_: web.Application) -> AsyncIterator[None]:
        watching = asyncio.create_task(rooms.watch_storage())
        yield
        watching.cancel()

    app.cleanup_ctx.append(watch_storage)

    async def close_rooms(_: web.Application) -> None:
        await rooms.close()

    app.on_shutdown.append(close_rooms)
