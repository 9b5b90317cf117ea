"""The door of every operation: who asks, whether they may, and whether they have not asked too often."""

from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from signaling.http.rate_limits import Gate
from signaling.http.session_cookie import session_secret
from signaling.network.clients import Clients
from signaling.ports import Authority, Caller
from signaling.routes.access import Access
from signaling.routes.authorization import Granted, bearer_token, grant
from signaling.routes.context import Context


class Door(NamedTuple):
    """What counts a token that does not come by a header."""

    gate: Gate
    clients: Clients
    clock: Clock

    async def authenticate(self, authority: Authority, token: str, address: str) -> Caller:
        """Counted before it is looked up; raises 429 too_many_requests, 401 unauthorized."""
        self.gate.arrive(address, token, self.clock.monotonic_ns())
        try:
            caller = await authority.authenticate(token)
        except BystanderError:
            self.gate.unrecognised(token)
            raise
        self.gate.recognised(address, token, caller, self.clock.monotonic_ns())
        return caller


def count(request: web.Request, context: Context) -> None:
    """Count a request before anything is looked up for it; raises 429 too_many_requests."""
    share = context.clients.share(request)
    context.gate.arrive(share, _shown(request, context), context.clock.monotonic_ns())


async def admit(access: Access, request: web.Request, context: Context) -> Granted:
    """Let a counted caller in; raises what `grant` raises."""
    token = _shown(request, context)
    try:
        granted = await grant(access, request, context)
    except BystanderError as error:
        if error.status == HTTPStatus.UNAUTHORIZED and token is not None:
            context.gate.unrecognised(token)
        raise
    if granted.caller is not None and token is not None:
        share, now_ns = context.clients.share(request), context.clock.monotonic_ns()
        context.gate.recognised(share, token, granted.caller, now_ns)
    return granted


def _shown(request: web.Request, context: Context) -> str | None:
    """What the request shows of who asks: a token, else a session of the console."""
    return bearer_token(request) or session_secret(
        request, context.public_url or context.clients.origin(request)
    )
