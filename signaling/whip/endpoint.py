"""The WHIP endpoint and its sessions (RFC 9725): how streams are published to a recording.

The entry point's URL is a secret, and every request carries a token too: a participant's, which says who they
are, or the entry point's own, which is the call service's. What RFC 9725 leaves to the
server and is decided here: POST to a session answers 409, for an offer there would be a second one on one
resource; GET answers 204, since neither resource has a representation.
"""

from functools import partial
from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.kernel.conversation import Role
from recorder.kernel.errors import caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.limits import SDP_BYTES_MAX, SDP_FRAGMENT_BYTES_MAX
from recorder.kernel.media import Publisher, SourceKind
from signaling.http.bodies import convert_query, unique_values
from signaling.http.problems import InvalidInputError
from signaling.http.ranges import entity_tag
from signaling.http.rate_limits import EntryPointCaller
from signaling.http.text_types import Text
from signaling.ports import Caller, Publishing
from signaling.routes.authorization import bearer_token
from signaling.routes.facts import FACTS
from signaling.routes.operation import ApiCall, Header, Operation, Reply, TextBody
from signaling.whip.accept import accepts
from signaling.whip.headers import ice_server_links, if_match_of

SDP = "application/sdp"
SDP_FRAGMENT = "application/trickle-ice-sdpfrag"
PREFIX = "/whip/"
ENDPOINT = PREFIX + "{entry_point}"
SESSION = ENDPOINT + "/{session}"
_PREFLIGHT_LIFETIME_S = 7200  # the longest that Chromium honours


class PublishQuery(msgspec.Struct, frozen=True):
    """Who publishes, and what. A plain encoder that can be given only a URL and a token is a guest.

    Unknown parameters are no error: WHIP clients may add their own.
    """

    participant: Text | None = None
    name: Text = "Guest"
    role: Role = Role.VISITOR
    source: SourceKind = SourceKind.CAMERA


async def publish(call: ApiCall) -> web.Response:
    secret = call.path("entry_point")
    publishing = await _check(call)
    if not accepts(call.request.headers.get("Accept"), SDP):
        raise caller_error("not_acceptable", f"The answer is {SDP}.", status=406)
    publisher = _publisher(call, publishing)
    call.tell({"source": publisher.source, "name": publisher.name}, target=publisher.participant)
    offer = await call.text()
    if not offer.startswith("v=0"):
        raise InvalidInputError("malformed_sdp", "The body is not SDP.", field="$", status=400)
    session = await call.context.ports.entry_points.publish(secret, publisher, offer)
    headers = ice_server_links(publishing.ice_servers)
    headers["Location"] = f"{PREFIX}{secret}/{session.id}"
    headers["ETag"] = entity_tag(session.etag)
    return web.Response(
        status=HTTPStatus.CREATED, body=session.sdp.encode(), content_type=SDP, headers=headers
    )


async def trickle(call: ApiCall) -> web.Response:
    by = _id_of(await _check(call))
    if_match = if_match_of(call.request.headers.get("If-Match"))
    fragment = await call.text()
    if "a=" not in fragment:
        raise InvalidInputError("malformed_sdp", "The body is no SDP fragment.", field="$", status=400)
    restarted = await call.context.ports.entry_points.trickle(
        call.path("entry_point"), call.path("session"), fragment, if_match, by=by
    )
    if restarted is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    answer, etag = restarted
    return web.Response(body=answer.encode(), content_type=SDP_FRAGMENT, headers={"ETag": entity_tag(etag)})


async def unpublish(call: ApiCall) -> web.Response:
    by = _id_of(await _check(call))  # and no entity tag: RFC 9725 wants it ignored here
    await call.context.ports.entry_points.unpublish(call.path("entry_point"), call.path("session"), by=by)
    return web.Response()


async def second_offer(call: ApiCall) -> web.Response:
    await _check(call)
    raise caller_error(
        "offer_repeated",
        "This session has had its offer; publish more by a POST to the entry point.",
        status=409,
    )


async def nothing(call: ApiCall) -> web.Response:
    await _check(call)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def options(call: ApiCall) -> web.Response:
    """Preflights, and whoever asks what this is; with a token, also the ICE servers (RFC 9725, 4.6)."""
    preflight = "Access-Control-Request-Method" in call.request.headers
    asks_ice = not preflight and bearer_token(call.request) is not None
    headers = ice_server_links((await _check(call)).ice_servers if asks_ice else [])
    headers["Allow"] = _allowed(call.operation.path)
    headers["Access-Control-Allow-Methods"] = headers["Allow"]
    headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match, Link"
    headers["Access-Control-Max-Age"] = str(_PREFLIGHT_LIFETIME_S)
    if call.operation.path == ENDPOINT:
        headers["Accept-Post"] = SDP
    else:
        headers["Accept-Patch"] = SDP_FRAGMENT
    return web.Response(headers=headers)


async def allow_any_origin(request: web.Request, response: web.StreamResponse) -> None:
    """On every WHIP response, errors too: pages of any origin may publish; the token is what guards."""
    if request.path.startswith(PREFIX):
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "Location, ETag, Link, Retry-After, X-Request-Id"


async def _check(call: ApiCall) -> Publishing:
    """Whose token it is; from now on they are counted by who they are, and not by their address."""
    secret, token, context = call.path("entry_point"), bearer_token(call.request), call.context
    publishing = await context.ports.entry_points.check(secret, token)
    if token is not None:
        share, now_ns = context.clients.share(call.request), context.clock.monotonic_ns()
        who = None if publishing.participant is None else Caller(publishing.participant)
        if who is not None:
            call.request[FACTS].admitted(who)
        context.gate.recognised(share, token, who or EntryPointCaller(secret), now_ns)
    return publishing


def _publisher(call: ApiCall, publishing: Publishing) -> Publisher:
    given = {name: value for name, value in unique_values(call.request.query).items() if value}
    for name, change in (("role", str.upper), ("source", str.lower)):
        if name in given:
            given[name] = change(given[name])
    query, known = convert_query(given, PublishQuery), publishing.participant
    if query.source not in publishing.sources:
        raise caller_error("forbidden", "Your token is not for streams of this source.", status=403)
    if known is None:
        return Publisher(
            participant=query.participant or new_id("part"),
            name=query.name,
            role=query.role,
            source=query.source,
        )
    if query.participant not in (None, known.id) or ("role" in given and query.role is not known.role):
        raise caller_error("forbidden", "Your token publishes as nobody but you.", status=403)
    return Publisher(participant=known.id, name=known.name, role=known.role, source=query.source)


def _id_of(publishing: Publishing) -> str | None:
    return None if publishing.participant is None else publishing.participant.id


def _allowed(path: str) -> str:
    return ", ".join(operation.method for operation in OPERATIONS if operation.path == path)


_ETAG = Header("ETag", "Names the ICE session.")
_ICE = Header("Link", 'One per ICE server: <url>; rel="ice-server"; username; credential.')
_IF_MATCH = Header("If-Match", "The entity tag of the ICE session for candidates, * for an ICE restart.")

_operation = partial(Operation, tag="whip", confidential_path=True)

OPERATIONS = (
    _operation(
        "POST",
        ENDPOINT,
        id="publish",
        summary="Publish streams: an SDP offer in, a session with an SDP answer out.",
        handler=publish,
        query=PublishQuery,
        body=TextBody(SDP, SDP_BYTES_MAX),
        replies=(
            Reply(
                201,
                "The SDP answer.",
                media_type=SDP,
                headers=(Header("Location", "The session's URL."), _ETAG, _ICE),
            ),
        ),
        problems={
            400: ("malformed_sdp",),
            403: ("consent_required", "forbidden", "not_recorded"),
            406: ("not_acceptable",),
            409: ("recording_ended", "too_many_sessions"),
            422: (
                "bundle_required",
                "no_media_sent",
                "too_many_streams",
                "unsupported_codecs",
                "unsupported_transport",
            ),
            503: (
                "media_ports_exhausted",
                "overloaded",
                "relay_unavailable",
                "too_many_publishers",
                "worker_died",
            ),
        },
    ),
    _operation(
        "PATCH",
        SESSION,
        id="trickle",
        summary="Add ICE candidates, or restart ICE.",
        handler=trickle,
        headers=(_IF_MATCH,),
        body=TextBody(SDP_FRAGMENT, SDP_FRAGMENT_BYTES_MAX),
        replies=(
            Reply(204, "The candidates were taken."),
            Reply(200, "ICE was restarted: our new parameters.", media_type=SDP_FRAGMENT, headers=(_ETAG,)),
        ),
        problems={
            400: ("invalid_if_match", "malformed_sdp"),
            409: ("session_closed",),
            412: ("stale_ice_session",),
            428: ("if_match_required",),
            503: ("media_ports_exhausted", "overloaded", "relay_unavailable", "worker_died"),
        },
    ),
    _operation(
        "DELETE",
        SESSION,
        id="unpublish",
        summary="End a session.",
        handler=unpublish,
        replies=(Reply(200, "It has ended."),),
        problems={503: ("overloaded", "worker_died")},
    ),
    _operation(
        "POST",
        SESSION,
        id="offerAgain",
        summary="Refused: a session takes one offer.",
        handler=second_offer,
        replies=(),
        problems={409: ("offer_repeated",)},
    ),
    *(
        operation
        for path, name in ((ENDPOINT, "Endpoint"), (SESSION, "Session"))
        for operation in (
            _operation(
                "GET",
                path,
                id=f"get{name}",
                summary="Nothing to see here: WHIP resources have no representation.",
                handler=nothing,
                replies=(Reply(204, "It exists."),),
            ),
            _operation(
                "HEAD",
                path,
                id=f"head{name}",
                summary="As GET.",
                handler=nothing,
                replies=(Reply(204, "It exists."),),
            ),
            _operation(
                "OPTIONS",
                path,
                id=f"options{name}",
                summary="CORS preflight; with a token also the ICE servers.",
                handler=options,
                replies=(Reply(200, "What is allowed.", headers=(Header("Allow", "The methods."), _ICE)),),
            ),
        )
    ),
)
