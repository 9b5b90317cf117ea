"""The static pages: read once, served from memory, with headers that allow them nothing but this origin."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from aiohttp import web

_CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}
_TEXTS = (".html", ".js", ".css", ".svg")
_WASM_WORKER = "background_worker.js"  # alone may compile what it fetched from here: pages cannot


def _policy(scripts: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {scripts}",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "media-src 'self' blob: mediastream:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


_SECURITY_HEADERS = {
    "Content-Security-Policy": _policy("'self'"),
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), autoplay=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    content_type: str
    etag: str


class Pages:
    """The files of `signaling/web`, by name; any other name is not found, so no path is ever taken apart."""

    def __init__(self, parts: Mapping[str, bytes] | None = None) -> None:
        """`parts` are files from elsewhere, by name."""
        own = {
            entry.name: entry.read_bytes()
            for entry in (resources.files("signaling") / "web").iterdir()
            if _suffix(entry.name) in _CONTENT_TYPES
        }
        self._assets = {name: _asset(name, body) for name, body in {**(parts or {}), **own}.items()}

    async def landing(self, request: web.Request) -> web.Response:
        """`GET /`: the operator's page."""
        return self._serve(request, "landing.html")

    async def room(self, request: web.Request) -> web.Response:
        """`GET /room/{conversation}`: one page for every room; its socket says whether the room exists."""
        return self._serve(request, "room.html")

    async def asset(self, request: web.Request) -> web.Response:
        """`GET /web/{name}`."""
        return self._serve(request, request.match_info["name"])

    def _serve(self, request: web.Request, name: str) -> web.Response:
        asset = self._assets.get(name)
        if asset is None:
            raise web.HTTPNotFound
        headers = {**_SECURITY_HEADERS, "Cache-Control": "no-cache"}  # ask again, and mostly hear 304
        if name == _WASM_WORKER:
            headers["Content-Security-Policy"] = _policy("'self' 'wasm-unsafe-eval'")
        if any(tag.value == asset.etag for tag in request.if_none_match or ()):
            response = web.Response(status=304, headers=headers)
        else:
            response = web.Response(
                body=asset.body,
                content_type=asset.content_type,
                charset="utf-8" if _suffix(name) in _TEXTS else None,
                headers=headers,
            )
        response.etag = asset.etag
        return response


def _asset(name: str, body: bytes) -> Asset:
    return Asset(body, _CONTENT_TYPES[_suffix(name)], hashlib.sha256(body).hexdigest()[:32])


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]
