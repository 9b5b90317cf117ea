"""/v1/conversations: conversations, who takes part in them, and what they do together."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.errors import caller_error
from recorder.values import Conversation, Interaction, InteractionKind, LayerKind, Participant, Role
from signaling.auth import AGENTS, API_KEY, EVERYBODY, Access, Scheme
from signaling.operations import Call, Header, Operation, Reply, json_response
from signaling.paging import PageQuery, first_page, page_of
from signaling.texts import Metadata, Text

_TAG = "conversations"
_CONVERSATION = "/v1/conversations/{conversation}"
_LOCATION = Header("Location", "Where what was created is found.")


class CreateConversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call service says of a new conversation; all of it is optional."""

    template: Text | None = None
    external_id: Text | None = None
    metadata: Metadata = {}


class AddParticipant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who joins."""

    role: Role
    name: Text


class StartInteraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call, or a collaboration layer with its kind."""

    kind: InteractionKind
    layer: LayerKind | None = None


class ConversationPage(msgspec.Struct, frozen=True):
    """Conversations in the order in which they were made; `next_after` is the `after` of the next page."""

    items: list[Conversation]
    next_after: str | None


class ParticipantPage(msgspec.Struct, frozen=True):
    """Participants, without their tokens."""

    items: list[Participant]
    next_after: str | None


async def create(call: Call) -> web.Response:
    body = await call.body(CreateConversation)
    conversation = await call.context.ports.conversations.create(
        template=body.template, external_id=body.external_id, metadata=body.metadata
    )
    return _created(conversation, f"/v1/conversations/{conversation.id}")


async def list_all(call: Call) -> web.Response:
    query = call.query(PageQuery)
    found = await call.context.ports.conversations.list(after=query.after, limit=query.limit + 1)
    return json_response(ConversationPage(*first_page(found, query.limit)))


async def get(call: Call) -> web.Response:
    return json_response(await call.context.ports.conversations.get(call.path("conversation")))


async def end(call: Call) -> web.Response:
    return json_response(await call.context.ports.conversations.end(call.path("conversation")))


async def delete(call: Call) -> web.Response:
    await call.context.ports.conversations.delete(call.path("conversation"))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def add_participant(call: Call) -> web.Response:
    body = await call.body(AddParticipant)
    conversation = call.path("conversation")
    added = await call.context.ports.conversations.add_participant(
        conversation, role=body.role, name=body.name
    )
    return _created(added, f"/v1/conversations/{conversation}/participants")


async def list_participants(call: Call) -> web.Response:
    query = call.query(PageQuery)
    everybody = await call.context.ports.conversations.participants(call.path("conversation"))
    page, next_after = page_of(everybody, query)
    without_secrets = [msgspec.structs.replace(one, token=None, room_url=None) for one in page]
    return json_response(ParticipantPage(without_secrets, next_after))


async def start_interaction(call: Call) -> web.Response:
    body = await call.body(StartInteraction)
    if (body.layer is not None) != (body.kind is InteractionKind.COLLABORATION_LAYER):
        raise caller_error(
            "invalid_layer", "A collaboration layer has a kind of layer; a call has none.", status=422
        )
    conversation = call.path("conversation")
    interaction = await call.context.ports.conversations.start_interaction(
        conversation, kind=body.kind, layer=body.layer
    )
    return _created(interaction, f"/v1/conversations/{conversation}/interactions/{interaction.id}")


async def end_interaction(call: Call) -> web.Response:
    ended = await call.context.ports.conversations.end_interaction(
        call.path("conversation"), call.path("interaction")
    )
    return json_response(ended)


def _created(value: object, location: str) -> web.Response:
    return json_response(value, status=HTTPStatus.CREATED, location=location)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/conversations",
        id="createConversation",
        summary="Create a conversation.",
        access=API_KEY,
        handler=create,
        body=CreateConversation,
        replies=(Reply(201, "The new conversation.", Conversation, headers=(_LOCATION,)),),
        problems={404: ("not_found",), 409: ("conflict",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/conversations",
        id="listConversations",
        summary="List conversations, oldest first.",
        access=API_KEY,
        handler=list_all,
        query=PageQuery,
        replies=(Reply(200, "A page of conversations.", ConversationPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION,
        id="getConversation",
        summary="Get a conversation.",
        access=Access(Scheme.BEARER, EVERYBODY),
        handler=get,
        replies=(Reply(200, "The conversation.", Conversation),),
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _CONVERSATION,
        id="deleteConversation",
        summary="Delete a conversation and its recordings with it.",
        access=API_KEY,
        handler=delete,
        replies=(Reply(204, "It is gone."),),
        problems={409: ("recording_in_progress",)},
        tag=_TAG,
    ),
    Operation(
        "POST",
        _CONVERSATION + "/end",
        id="endConversation",
        summary="End a conversation; what is recorded of it ends too.",
        access=Access(Scheme.BEARER, AGENTS),
        handler=end,
        replies=(Reply(200, "The ended conversation.", Conversation),),
        problems={409: ("conflict",)},
        tag=_TAG,
    ),
    Operation(
        "POST",
        _CONVERSATION + "/participants",
        id="addParticipant",
        summary="Add a participant; the answer tells the token, this once.",
        access=API_KEY,
        handler=add_participant,
        body=AddParticipant,
        replies=(
            Reply(201, "The participant with their token and room.", Participant, headers=(_LOCATION,)),
        ),
        problems={409: ("conversation_ended",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION + "/participants",
        id="listParticipants",
        summary="List participants, without their tokens.",
        access=Access(Scheme.BEARER, EVERYBODY),
        handler=list_participants,
        query=PageQuery,
        replies=(Reply(200, "A page of participants.", ParticipantPage),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _CONVERSATION + "/interactions",
        id="startInteraction",
        summary="Say that a call or a collaboration layer begins.",
        access=Access(Scheme.BEARER, AGENTS),
        handler=start_interaction,
        body=StartInteraction,
        replies=(Reply(201, "The interaction.", Interaction, headers=(_LOCATION,)),),
        problems={409: ("conversation_ended",), 422: ("invalid_layer",)},
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _CONVERSATION + "/interactions/{interaction}",
        id="endInteraction",
        summary="Say that an interaction has ended.",
        access=Access(Scheme.BEARER, AGENTS),
        handler=end_interaction,
        replies=(Reply(200, "The ended interaction.", Interaction),),
        problems={409: ("conflict",)},
        tag=_TAG,
    ),
)
