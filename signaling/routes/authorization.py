"""Authorization: lets a request's caller in as the access table says, or tells why not."""

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError, caller_error, not_found
from signaling.http.session_cookie import check_csrf, session_secret
from signaling.ports import Caller
from signaling.routes.access import Access, Scheme
from signaling.routes.context import Context


@dataclass(frozen=True, slots=True)
class Granted:
    """A caller who may. `links_until` bounds what a holder of a signed link can pass on."""

    caller: Caller | None = None
    links_until: datetime | None = None


async def grant(access: Access, request: web.Request, context: Context) -> Granted:
    """Let the request's caller in, or raise 401 unauthorized, 403 forbidden, link_*, or 404 not_found."""
    if access.scheme is Scheme.SESSION:
        return Granted(await _signed_in(request, context))
    if access.scheme is not Scheme.BEARER:
        return Granted()
    token, query = bearer_token(request), request.query
    if token is None and access.signed_link and "signature" in query:
        now = context.clock.utc_now()
        until = context.links.check(request.path, query.get("expires", ""), query["signature"], now=now)
        return Granted(links_until=until)
    if token is None:
        caller = await _signed_in(request, context)
    else:
        caller = await context.ports.authority.authenticate(token)
    if caller.participant is not None:
        await _allow_participant(access, caller.participant, request, context)
    else:
        await _allow_key(access, caller, request, context)
    return Granted(caller)


async def _signed_in(request: web.Request, context: Context) -> Caller:
    """Who signed in to the console, where a page of it asks; the session can do what they could by a key."""
    secret = session_secret(request, context.public_url or context.clients.origin(request))
    if secret is None:
        raise unauthorized("An Authorization header with a Bearer token is needed.")
    session = await context.ports.sessions.find(secret)
    check_csrf(request, secret)
    return session.caller


async def _allow_participant(
    access: Access, participant: Participant, request: web.Request, context: Context
) -> None:
    if participant.role not in access.roles:
        raise _forbidden("Your role may not do this.")
    conversation, hidden = await _conversation_of(request, context)
    if conversation != participant.conversation:
        raise not_found(hidden)  # whether it exists is none of their business
    if access.if_visible and participant.role not in (await context.ports.terms.of(conversation)).visible_to:
        raise _forbidden("Recordings of this conversation are not shown to your role.")


async def _allow_key(access: Access, caller: Caller, request: web.Request, context: Context) -> None:
    """A key of one account finds nothing of another's."""
    key = caller.key
    if key is None:
        return
    if access.scope is None or not key.may(access.scope):
        raise _forbidden(f"This needs a key with the scope {access.scope}.")
    if key.account is None:
        return
    if access.whole_server:
        raise _forbidden("This is about the whole server, and your key reaches one account.")
    for asked in (request.match_info, request.query):
        if asked.get("account", key.account) != key.account:
            raise not_found("account")
    if "conversation" in request.match_info or "recording" in request.match_info:
        conversation, hidden = await _conversation_of(request, context)
        if (await context.ports.conversations.get(conversation)).account != key.account:
            raise not_found(hidden)


async def _conversation_of(request: web.Request, context: Context) -> tuple[str, str]:
    """The conversation that a path is about, and what to call that which is not found."""
    conversation = request.match_info.get("conversation")
    if conversation is not None:
        return conversation, "conversation"
    recording = await context.ports.recordings.get(request.match_info["recording"])
    return recording.conversation, "recording"


def bearer_token(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer <token>` (RFC 6750); None without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip(" ")
    return token if scheme.lower() == "bearer" and token else None


def unauthorized(detail: str) -> BystanderError:
    """401 for a caller who did not say who they are."""
    return caller_error("unauthorized", detail, status=401)


def _forbidden(detail: str) -> BystanderError:
    return caller_error("forbidden", detail, status=403)
