"""Who may call what: one vocabulary for the route table, and the one place that enforces it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from aiohttp import web

from recorder.errors import BystanderError, caller_error, not_found
from recorder.values import Role
from signaling.context import Context
from signaling.ports import Caller

AGENTS = frozenset({Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR})
EVERYBODY = frozenset(Role)


class Scheme(Enum):
    """How a caller shows who they are."""

    PUBLIC = "public"  # not at all
    BEARER = "bearer"  # an API key or a participant's token
    ENTRY_POINT = "entry point"  # the token of the entry point in the URL; the WHIP handlers ask the port


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation. An API key may call every BEARER operation.

    `roles` may too, in their own conversation only. `signed_link`: also whoever has a link to this path.
    """

    scheme: Scheme
    roles: frozenset[Role] = frozenset()
    signed_link: bool = False


PUBLIC = Access(Scheme.PUBLIC)
API_KEY = Access(Scheme.BEARER)
ENTRY_POINT = Access(Scheme.ENTRY_POINT)


@dataclass(frozen=True, slots=True)
class Granted:
    """A caller who may. `links_until` bounds what a holder of a signed link can pass on."""

    caller: Caller | None = None
    links_until: datetime | None = None


async def grant(access: Access, request: web.Request, context: Context) -> Granted:
    """Let the request's caller in, or raise 401 unauthorized, 403 forbidden, link_*, or 404 not_found."""
    if access.scheme is not Scheme.BEARER:
        return Granted()
    token, query = bearer_token(request), request.query
    if token is None and access.signed_link and "signature" in query:
        now = context.clock.utc_now()
        until = context.links.check(request.path, query.get("expires", ""), query["signature"], now=now)
        return Granted(links_until=until)
    if token is None:
        raise unauthorized("An Authorization header with a Bearer token is needed.")
    caller = await context.ports.authority.authenticate(token)
    await _allow(access, caller, request, context)
    return Granted(caller)


async def _allow(access: Access, caller: Caller, request: web.Request, context: Context) -> None:
    if caller.participant is None:
        return
    if caller.participant.role not in access.roles:
        raise caller_error("forbidden", "Your role may not do this.", status=403)
    conversation = request.match_info.get("conversation")
    if conversation is None:
        recording = await context.ports.recordings.get(request.match_info["recording"])
        conversation = recording.conversation
        hidden = "recording"
    else:
        hidden = "conversation"
    if conversation != caller.participant.conversation:
        raise not_found(hidden)  # whether it exists is none of their business


def bearer_token(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer <token>` (RFC 6750); None without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip(" ")
    return token if scheme.lower() == "bearer" and token else None


def unauthorized(detail: str) -> BystanderError:
    """401 for a caller who did not say who they are."""
    return caller_error("unauthorized", detail, status=401)
