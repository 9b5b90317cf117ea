"""/console/session: who is signed in, signing in with an API key, signing out."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web

from recorder.kernel.errors import BystanderError
from recorder.kernel.permissions import KeyScope
from signaling.http.session_cookie import (
    check_own_page,
    cookie_name,
    csrf_token,
    drop_session,
    session_secret,
    set_session,
)
from signaling.ports import ConsoleSession
from signaling.routes.context import Context
from signaling.routes.facts import FACTS
from signaling.routes.operation import ApiCall, Operation, Reply, json_response
from signaling.routes.presentation import base_url

OIDC_CONFIGURED = web.AppKey("oidc_configured", bool)

_SESSION = "/console/session"
_TAG = "console"
OWN_KEY_NAME = "Server key"  # what somebody is called who signs in with the server's own key


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of an API key."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, what they may, and until when. `account` None: every account."""

    name: str
    account: str | None
    scopes: list[KeyScope]
    expires_at: datetime
    csrf_token: str  # for the header X-CSRF-Token of what changes something


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in, if anybody is; `oidc`: whether one may also sign in by OpenID Connect."""

    session: SignedIn | None
    oidc: bool


async def get(call: ApiCall) -> web.Response:
    context, base = call.context, base_url(call.context, call.request)
    secret = session_secret(call.request, base)
    if secret is None:
        return json_response(_state(call, None))
    try:
        session = await context.ports.sessions.find(secret)
    except BystanderError as error:
        if error.status != HTTPStatus.UNAUTHORIZED:
            raise
        response = json_response(_state(call, None))
        drop_session(response, cookie_name(base))
        return response
    return json_response(_state(call, _shown(session, secret)))


async def sign_in(call: ApiCall) -> web.Response:
    check_own_page(call.request)
    body, ports = await call.body(SignIn), call.context.ports
    caller = await ports.authority.authenticate(body.key.strip())
    call.request[FACTS].admitted(caller)
    name = OWN_KEY_NAME if caller.key is None else caller.key.name
    secret, session = await ports.sessions.begin(caller, name=name)
    await end_previous(call.request, call.context)
    response = json_response(_state(call, _shown(session, secret)))
    set_session(response, cookie_name(base_url(call.context, call.request)), secret)
    return response


async def sign_out(call: ApiCall) -> web.Response:
    await end_previous(call.request, call.context)
    response = web.Response(status=HTTPStatus.NO_CONTENT, headers={"Clear-Site-Data": '"cache"'})
    drop_session(response, cookie_name(base_url(call.context, call.request)))
    return response


async def end_previous(request: web.Request, context: Context) -> None:
    """End the session that this browser has; whoever signs in again gets another secret."""
    secret = session_secret(request, base_url(context, request))
    if secret is not None:
        await context.ports.sessions.end(secret)


def _state(call: ApiCall, session: SignedIn | None) -> SessionState:
    return SessionState(session=session, oidc=call.request.app.get(OIDC_CONFIGURED, False))


def _shown(session: ConsoleSession, secret: str) -> SignedIn:
    caller = session.caller
    return SignedIn(
        name=session.name,
        account=caller.account,
        scopes=[scope for scope in KeyScope if caller.may(scope)],
        expires_at=session.expires_at,
        csrf_token=csrf_token(secret),
    )


OPERATIONS = (
    Operation(
        "GET",
        _SESSION,
        id="getConsoleSession",
        summary="Who is signed in to the console in this browser.",
        handler=get,
        replies=(Reply(200, "The session, or none.", SessionState),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _SESSION,
        id="signIn",
        summary="Sign in to the console with an API key: sets the session's cookie.",
        handler=sign_in,
        body=SignIn,
        replies=(Reply(200, "The session.", SessionState),),
        problems={401: ("unauthorized",), 403: ("cross_site", "forbidden")},
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _SESSION,
        id="signOut",
        summary="Sign out: the session is good for nothing from now on.",
        handler=sign_out,
        replies=(Reply(204, "Signed out."),),
        tag=_TAG,
    ),
)
