"""The console's session in a cookie, and what a request has to show beside it before it may change anything.

A cookie comes with every request that a browser makes, whoever's page made it; a page of another origin can
neither read the token nor send the header.
"""

import hashlib
import hmac

from aiohttp import web

from recorder.kernel.errors import BystanderError, caller_error

SECURE_COOKIE = "__Host-bystander"  # browsers take it over HTTPS only, from this host only, for all paths
PLAIN_COOKIE = "bystander"  # over plain HTTP, where they would refuse the other
CSRF_HEADER = "X-CSRF-Token"
_FETCH_SITE = "Sec-Fetch-Site"
_OWN_PAGES = ("same-origin", "none")  # none: typed, or from a bookmark
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def is_secure(base_url: str) -> bool:
    """Whether browsers reach us by HTTPS, here or at the proxy in front; by the address that they know."""
    return base_url.startswith("https:")


def cookie_name(base_url: str) -> str:
    """What the session's cookie is called for whoever reaches us at this address."""
    return SECURE_COOKIE if is_secure(base_url) else PLAIN_COOKIE


def session_secret(request: web.Request, base_url: str) -> str | None:
    """The secret of the session's cookie; None without one, or for a request of another site's page."""
    if request.headers.get(_FETCH_SITE, "none") not in _OWN_PAGES:
        return None
    return request.cookies.get(cookie_name(base_url)) or None


def csrf_token(secret: str) -> str:
    """What a page of the session sends in CSRF_HEADER."""
    return hmac.new(secret.encode(errors="replace"), b"console csrf", hashlib.sha256).hexdigest()


def check_csrf(request: web.Request, secret: str) -> None:
    """Raise 403 csrf_token_wrong for a request that changes something, unless a page of ours made it."""
    if request.method in _SAFE_METHODS:
        return
    shown = request.headers.get(CSRF_HEADER, "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(shown, csrf_token(secret).encode()):
        detail = f"A request with the session's cookie that changes something needs {CSRF_HEADER}."
        raise caller_error("csrf_token_wrong", detail, status=403)


def check_own_page(request: web.Request) -> None:
    """Raise 403 cross_site for what a page of another origin asks for."""
    if request.headers.get(_FETCH_SITE, "none") not in _OWN_PAGES:
        raise cross_site()


def cross_site() -> BystanderError:
    """403: another site's page made this request."""
    return caller_error("cross_site", "This is for the console's own pages.", status=403)


def set_session(response: web.StreamResponse, name: str, secret: str) -> None:
    """Give the browser its session: no script reads it and no other site's page sends it."""
    response.set_cookie(
        name, secret, path="/", httponly=True, samesite="Strict", secure=_is_secure_name(name)
    )


def drop_session(response: web.StreamResponse, name: str) -> None:
    """Take the session away from the browser."""
    response.del_cookie(name, path="/", httponly=True, samesite="Strict", secure=_is_secure_name(name))


def _is_secure_name(name: str) -> bool:
    return name.startswith("__Host-")
