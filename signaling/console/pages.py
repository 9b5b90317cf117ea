"""The console's static files: one shell for every page, and modules that render what the API answers.

Nothing of anybody's data is in them, so they are public; what they may load is this origin alone, and no
script in them can turn a text into HTML (Trusted Types).
"""

import hashlib
import html
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

_SHELL = "index.html"
_CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), display-capture=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # ask again, and mostly hear 304
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    content_type: str
    etag: str


def add_console_pages(app: web.Application, prefix: str = "") -> None:
    """Mount `/console`, every page below it, and `/console-files/...`.

    `prefix` is what stands before these paths where browsers see them. Pages lie at every depth, so the shell
    names its files from there; the modules find it in their own addresses.
    """
    assets = dict(_assets(resources.files("signaling") / "web" / "console"))
    assets[_SHELL] = _below(prefix, assets[_SHELL])

    async def shell(request: web.Request) -> web.Response:
        return _answer(request, assets[_SHELL])

    async def file(request: web.Request) -> web.Response:
        found = assets.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return _answer(request, found)

    app.router.add_get("/console", shell)
    app.router.add_get("/console/{page:[A-Za-z0-9_/-]*}", shell)
    app.router.add_get("/console-files/{name:[a-z0-9_./-]+}", file)


def _below(prefix: str, shell: Asset) -> Asset:
    body = shell.body.replace(b'="/console-files/', f'="{html.escape(prefix)}/console-files/'.encode())
    return Asset(body, shell.content_type, hashlib.sha256(body).hexdigest()[:32])


def _answer(request: web.Request, asset: Asset) -> web.Response:
    headers = {**HEADERS, "ETag": f'"{asset.etag}"'}
    if any(tag.value == asset.etag for tag in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)


def _assets(folder: Traversable, prefix: str = "") -> list[tuple[str, Asset]]:
    """Every file by its path below the folder; any other path is not found, so none is ever taken apart."""
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _assets(entry, f"{prefix}{entry.name}/")
        elif (suffix := entry.name[entry.name.rfind(".") :]) in _CONTENT_TYPES:
            body = entry.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:32]
            found.append((prefix + entry.name, Asset(body, _CONTENT_TYPES[suffix], etag)))
    return found
