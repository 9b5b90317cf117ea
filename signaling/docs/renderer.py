"""The renderer of the API's page: Swagger UI, which `deploy/fetch-api-page` puts beside this file.

Where it is not there, pages.py makes a plain page. A browser loads nothing of it from elsewhere.
"""

import hashlib
from http import HTTPStatus
from importlib import resources

from aiohttp import web

from signaling.http.html import STYLE_SOURCE

PREFIX = "/docs-files/"
_SCRIPT, _STYLE, _START = "swagger-ui-bundle.js", "swagger-ui.css", "start.js"
_CONTENT_TYPES = {_SCRIPT: "text/javascript", _STYLE: "text/css", _START: "text/javascript"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {STYLE_SOURCE}",
        "img-src 'self' data:",  # its icons stand in its style sheet
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEAD = f'<link rel="icon" href="web/icon.svg"><link rel="stylesheet" href="{PREFIX[1:]}{_STYLE}">'
BODY = (
    '<div id="api"></div>'
    f'<script src="{PREFIX[1:]}{_SCRIPT}"></script><script src="{PREFIX[1:]}{_START}"></script>'
)


def files() -> dict[str, bytes]:
    """What browsers load, by name; nothing where it was not fetched."""
    here = resources.files("signaling") / "docs"
    found = {name: here / "renderer" / name for name in (_SCRIPT, _STYLE)} | {_START: here / _START}
    if not all(path.is_file() for path in found.values()):
        return {}
    return {name: path.read_bytes() for name, path in found.items()}


def add_renderer(app: web.Application) -> None:
    """Mount its files, where there are any."""
    served = {name: (body, hashlib.sha256(body).hexdigest()[:32]) for name, body in files().items()}

    async def file(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in served:
            raise web.HTTPNotFound
        body, etag = served[name]
        headers = {"ETag": f'"{etag}"', "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        if any(tag.value == etag for tag in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=body, content_type=_CONTENT_TYPES[name], charset="utf-8", headers=headers)

    if served:
        app.router.add_get(PREFIX + "{name:[a-z.-]+}", file)
