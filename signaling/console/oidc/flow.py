"""/console/oidc: away to the provider, and back with a code that becomes a session."""

import logging
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, not_found
from recorder.kernel.network.proxy import Proxy
from signaling.console.oidc.attempts import Attempts
from signaling.console.oidc.provider import Provider
from signaling.console.oidc.terms import OidcTerms, identity, refused
from signaling.console.sign_in import OIDC_CONFIGURED
from signaling.http.session_cookie import cookie_name, is_secure, set_session
from signaling.ports import Caller
from signaling.routes.facts import FACTS
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply
from signaling.routes.presentation import base_url

CALLBACK = "/console/oidc/callback"
CODE_CHARS_MAX = 4096
_TAG = "console"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Oidc:
    """What the two operations share."""

    provider: Provider
    attempts: Attempts


OIDC = web.AppKey("oidc", Oidc)


class CallbackQuery(msgspec.Struct, frozen=True):
    """What the provider sends the browser back with; whatever else it adds is passed over."""

    state: str = ""
    code: str = ""
    error: str = ""


def add_oidc(
    app: web.Application, terms: OidcTerms, *, secret: bytes, clock: Clock, proxy: Proxy | None = None
) -> None:
    """Let people sign in there; before the app starts."""
    app[OIDC] = Oidc(Provider(terms, clock, proxy), Attempts(secret))
    app[OIDC_CONFIGURED] = True


async def start(call: ApiCall) -> web.Response:
    oidc, context = _configured(call), call.context
    attempt = oidc.attempts.begin(context.clock.utc_now())
    try:
        where = await oidc.provider.authorization_url(
            redirect_uri=_redirect_uri(call),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=attempt.challenge,
            code_challenge_method="S256",
        )
    except BystanderError as error:
        return _refusal(error)
    response = _to(where)
    oidc.attempts.keep(response, attempt, secure=is_secure(base_url(context, call.request)))
    return response


async def callback(call: ApiCall) -> web.Response:
    """A session, or back to where one signs in with why not."""
    oidc, secure = _configured(call), is_secure(base_url(call.context, call.request))
    try:
        response = await _entered(call, oidc, secure=secure)
    except BystanderError as error:
        call.request[FACTS].failed(error.code)
        call.tell({"refused": error.code})
        response = _refusal(error)
    oidc.attempts.forget(response, secure=secure)
    return response


async def _entered(call: ApiCall, oidc: Oidc, *, secure: bool) -> web.Response:
    query, context = call.query(CallbackQuery), call.context
    now = context.clock.utc_now()
    attempt = oidc.attempts.taken(call.request, query.state, now, secure=secure)
    if query.error or not 0 < len(query.code) <= CODE_CHARS_MAX:
        raise refused("oidc_denied", "The provider did not let you in.")
    claims = await oidc.provider.claims(
        code=query.code, verifier=attempt.verifier, redirect_uri=_redirect_uri(call), nonce=attempt.nonce
    )
    somebody = identity(oidc.provider.terms, claims, now)
    caller = Caller(key=somebody)
    secret, _ = await context.ports.sessions.begin(caller, name=somebody.name)
    call.request[FACTS].admitted(caller)
    response = _to("/console")
    set_session(response, cookie_name(base_url(context, call.request)), secret)
    return response


def _configured(call: ApiCall) -> Oidc:
    oidc = call.request.app.get(OIDC)
    if oidc is None:
        raise not_found("provider to sign in with")
    return oidc


def _redirect_uri(call: ApiCall) -> str:
    return base_url(call.context, call.request) + CALLBACK


def _refusal(error: BystanderError) -> web.Response:
    """The page puts the code into words; what the provider said goes to the log."""
    _log.warning("signing in by the provider failed: %s", error)
    return _to(f"/console?refused={error.code}")


def _to(where: str) -> web.Response:
    headers = {"Location": where, "Cache-Control": "no-store"}
    return web.Response(status=HTTPStatus.SEE_OTHER, headers=headers)


OPERATIONS = (
    Operation(
        "GET",
        "/console/oidc/start",
        id="startOidc",
        summary="Sign in to the console by OpenID Connect: to the provider.",
        handler=start,
        replies=(Reply(303, "Where somebody signs in.", headers=(LOCATION,)),),
        problems={404: ("not_found",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        CALLBACK,
        id="finishOidc",
        summary="Where the provider sends the browser back to; a session, or why not.",
        handler=callback,
        query=CallbackQuery,
        replies=(Reply(303, "To the console.", headers=(LOCATION,)),),
        problems={404: ("not_found",)},
        tag=_TAG,
    ),
)
