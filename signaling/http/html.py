"""Small server-rendered pages: no script, one style sheet within, nothing loaded from elsewhere."""

import base64
import hashlib
from html import escape

from aiohttp import web

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#0a7d6c}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
code,.path{font-family:ui-monospace,monospace;font-size:.92em}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
.method{display:inline-block;min-width:4.6em;font-weight:600;color:var(--accent)}
.note{opacity:.75}
table{border-collapse:collapse;margin:.5rem 0}
td,th{border-bottom:1px solid var(--line);padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
pre{background:var(--soft);padding:.6rem;border-radius:6px;overflow:auto}
video{width:100%;max-height:75vh;background:#000;border-radius:6px}
"""
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {STYLE_SOURCE}",
        "media-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def page(title: str, body: str, *, head: str = "", policy: str = _POLICY) -> web.Response:
    """A page whose `body` and more of whose `head` is HTML, already escaped; `title` is text."""
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>{head}'
        f"</head><body>{body}</body></html>"
    )
    return web.Response(
        text=document,
        content_type="text/html",
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
