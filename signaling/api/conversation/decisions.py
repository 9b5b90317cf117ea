"""/v1/conversations/{conversation}/decisions: what a call service has to obey, by long-poll."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.conversation import Decision
from signaling.routes.operation import ApiCall, Operation, Reply, json_response
from signaling.routes.presentation import stream_shares

WAIT_S_MAX = 30.0  # proxies drop a silent request after 30 to 60 s


class DecisionsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after`: the newest sequence that is known; `wait_s`: how long to wait for the next."""

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    wait_s: Annotated[float, Meta(ge=0, le=WAIT_S_MAX)] = 0.0


class DecisionList(msgspec.Struct, frozen=True):
    """Decisions in their order; `next_after` is the `after` of the next question."""

    items: list[Decision]
    next_after: int


async def decisions(call: ApiCall) -> web.Response:
    query = call.query(DecisionsQuery)
    conversation = call.path("conversation")
    shares = await stream_shares(call, conversation)
    with call.context.streams.admit(shares):  # it holds a connection like an event stream does
        found = await call.context.ports.decisions.list(conversation, after=query.after, wait_s=query.wait_s)
    return json_response(DecisionList(found, found[-1].sequence if found else query.after))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/conversations/{conversation}/decisions",
        id="listDecisions",
        summary="What a call service has to obey: which interactions are held, released or aborted.",
        handler=decisions,
        query=DecisionsQuery,
        replies=(Reply(200, "Decisions, none when none came in time.", DecisionList),),
        problems={429: ("too_many_streams",), 503: ("too_many_streams",)},
        tag="conversations",
    ),
)
