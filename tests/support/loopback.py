"""Applications and files of a test's own, served on a free port of loopback."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

NO_ICON = '<link rel="icon" href="data:,">'  # or browsers ask for one, and complain
EMPTY_PLAYER = f"<!doctype html>{NO_ICON}<video muted playsinline preload=metadata></video>"
PAGE_PATH = "/page"


@dataclass
class Served:
    """Files at an origin, by their names; `ranges` are the Range headers that they were asked for with."""

    origin: str
    ranges: list[str] = field(default_factory=list)


@asynccontextmanager
async def serving(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """Serve it for the length of the block, at this origin; `options` are those of aiohttp's runner."""
    runner = web.AppRunner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def with_page(text: str) -> web.Application:
    """An application with this page at PAGE_PATH."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get(PAGE_PATH, page)
    return app


@asynccontextmanager
async def serving_files(find: Callable[[str], Path], *, page: str = EMPTY_PLAYER) -> AsyncIterator[Served]:
    """Serve the files that `find` names, with byte ranges, and a page to play them in."""
    served = Served("")

    async def file(request: web.Request) -> web.StreamResponse:
        served.ranges.append(request.headers.get("Range", ""))
        return web.FileResponse(find(request.match_info["name"]))

    app = with_page(page)
    app.router.add_get("/{name}", file)
    async with serving(app) as served.origin:
        yield served
