"""The door of every operation: who asks, whether they may, and whether they have not asked too often."""

from http import HTTPStatus
from ipaddress import ip_address

from aiohttp import web

from recorder.kernel.errors import BystanderError
from signaling.routes.access import Access
from signaling.routes.authorization import Granted, grant
from signaling.routes.context import Context


async def admit(access: Access, request: web.Request, context: Context) -> Granted:
    """Let the caller in; raises what `grant` raises, or 429 too_many_requests."""
    now_ns = context.clock.monotonic_ns()
    try:
        granted = await grant(access, request, context)
    except BystanderError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            context.gate.unknown(client_address(request), now_ns)
        raise
    if granted.caller is None:
        context.gate.unknown(client_address(request), now_ns)
    else:
        context.gate.known(granted.caller, now_ns)
    return granted


def client_address(request: web.Request) -> str:
    """Where a request comes from; from this machine's own proxy, what that one wrote down last.

    Nobody else is believed: an X-Forwarded-For can be made up by whoever sends it.
    """
    peer = request.remote or ""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return forwarded if _is_address(forwarded) and _is_own(peer) else peer


def _is_own(peer: str) -> bool:
    return _is_address(peer) and ip_address(peer).is_loopback


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
