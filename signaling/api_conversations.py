"""/v1/conversations: what participants, interactions and recordings hang on."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.values import Conversation
from signaling.auth import AGENTS, API_KEY, EVERYBODY, Access, Scheme
from signaling.operations import LOCATION, Call, Operation, Reply, created, json_response
from signaling.paging import PageQuery, first_page
from signaling.texts import AccountId, Metadata, Text

_TAG = "conversations"
_CONVERSATION = "/v1/conversations/{conversation}"


class CreateConversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call service says of a new conversation; all of it is optional."""

    account: AccountId = "default"
    template: Text | None = None
    external_id: Text | None = None
    metadata: Metadata = {}


class ConversationPage(msgspec.Struct, frozen=True):
    """Conversations in the order in which they were made; `next_after` is the `after` of the next page."""

    items: list[Conversation]
    next_after: str | None


async def create(call: Call) -> web.Response:
    body = await call.body(CreateConversation)
    conversation = await call.context.ports.conversations.create(
        account=body.account, template=body.template, external_id=body.external_id, metadata=body.metadata
    )
    return created(conversation, f"/v1/conversations/{conversation.id}")


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


OPERATIONS = (
    Operation(
        "POST",
        "/v1/conversations",
        id="createConversation",
        summary="Create a conversation.",
        access=API_KEY,
        handler=create,
        body=CreateConversation,
        replies=(Reply(201, "The new conversation.", Conversation, headers=(LOCATION,)),),
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
)
