"""/v1/conversations/{conversation}/participants: who takes part."""

import msgspec
from aiohttp import web

from recorder.kernel.conversation import Participant, Role
from recorder.kernel.errors import caller_error
from signaling.http.pages import PageQuery, page_of
from signaling.http.text_types import Text
from signaling.room import ROOMS
from signaling.routes.access import scopes_of
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response

_TAG = "conversations"
_PARTICIPANTS = "/v1/conversations/{conversation}/participants"


class AddParticipant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who joins."""

    role: Role
    name: Text


class ParticipantPage(msgspec.Struct, frozen=True):
    """Participants, without their tokens."""

    items: list[Participant]
    next_after: str | None


async def add_participant(call: ApiCall) -> web.Response:
    body = await call.body(AddParticipant)
    conversation = call.path("conversation")
    await may_hand_out(call, conversation, body.role)
    added = await call.context.ports.conversations.add_participant(
        conversation, role=body.role, name=body.name
    )
    return created(added, f"/v1/conversations/{conversation}/participants")


async def renew_token(call: ApiCall) -> web.Response:
    conversation, participant = call.path("conversation"), call.path("participant")
    port = call.context.ports.conversations
    known = {one.id: one.role for one in await port.participants(conversation)}
    if participant in known:
        await may_hand_out(call, conversation, known[participant])
    renewed = await port.renew_token(conversation, participant)
    call.request.app[ROOMS].expel(conversation, participant)
    return json_response(renewed)


async def may_hand_out(call: ApiCall, conversation: str, role: Role) -> None:
    """403 forbidden for a token of a role that may more than the key that asks for it."""
    visible = role in (await call.context.ports.terms.of(conversation)).visible_to
    missing = [scope for scope in scopes_of(role, visible=visible) if not call.caller.may(scope)]
    if missing:
        detail = f"A {role} may do what your key may not: this needs a key with {', '.join(missing)} too."
        raise caller_error("forbidden", detail, status=403)


async def list_participants(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    everybody = await call.context.ports.conversations.participants(call.path("conversation"))
    page, next_after = page_of(everybody, query)
    without_secrets = [msgspec.structs.replace(one, token=None, room_url=None) for one in page]
    return json_response(ParticipantPage(without_secrets, next_after))


OPERATIONS = (
    Operation(
        "POST",
        _PARTICIPANTS,
        id="addParticipant",
        summary="Add a participant; the answer tells the token, this once.",
        handler=add_participant,
        body=AddParticipant,
        replies=(Reply(201, "The participant with their token and room.", Participant, headers=(LOCATION,)),),
        problems={409: ("conversation_ended",)},
        tag=_TAG,
    ),
    Operation(
        "POST",
        _PARTICIPANTS + "/{participant}/token",
        id="renewParticipantToken",
        summary="Give a participant a new token; the one before is good no longer.",
        handler=renew_token,
        replies=(Reply(200, "The participant with their new token and room.", Participant),),
        problems={409: ("conversation_ended",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _PARTICIPANTS,
        id="listParticipants",
        summary="List participants, without their tokens.",
        handler=list_participants,
        query=PageQuery,
        replies=(Reply(200, "A page of participants.", ParticipantPage),),
        tag=_TAG,
    ),
)
