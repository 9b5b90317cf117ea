"""The door of every operation: who asks, whether they may, and whether they have not asked too often."""

from http import HTTPStatus

from aiohttp import web

from recorder.kernel.errors import BystanderError
from signaling.routes.access import Access
from signaling.routes.authorization import Granted, bearer_token, grant
from signaling.routes.context import Context


def count(request: web.Request, context: Context) -> None:
    """Count a request before anything is looked up for it; raises 429 too_many_requests."""
    share = context.clients.share(request)
    context.gate.arrive(share, bearer_token(request), context.clock.monotonic_ns())


async def admit(access: Access, request: web.Request, context: Context) -> Granted:
    """Let a counted caller in; raises what `grant` raises."""
    token = bearer_token(request)
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
