"""/v1/conversations: what participants, interactions and recordings hang on."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.conversation import DEFAULT_ACCOUNT, Conversation
from recorder.kernel.errors import caller_error
from recorder.kernel.history import ConversationOverview, ConversationSearch, ConversationState
from recorder.kernel.limits import TEXT_CHARS_MAX
from signaling.http.pages import Order, PageQuery, first_page
from signaling.http.text_types import METADATA_PATTERN, AccountId, Metadata, Moment, Text
from signaling.room import ROOMS
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response

_TAG = "conversations"
_CONVERSATION = "/v1/conversations/{conversation}"


class CreateConversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call service says of a new conversation; all of it is optional."""

    account: AccountId | None = None  # without it: the key's own, else the default one
    template: Text | None = None
    external_id: Text | None = None
    metadata: Metadata = {}


class ConversationPage(msgspec.Struct, frozen=True):
    """Conversations in the order that was asked for; `next_after` is the `after` of the next page."""

    items: list[Conversation]
    next_after: str | None


class OverviewPage(msgspec.Struct, frozen=True):
    """Overviews in the order that was asked for; `next_after` is the `after` of the next page."""

    items: list[ConversationOverview]
    next_after: str | None


class SearchQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """What is looked for; everything that is given has to hold. `metadata` is `key:value`.

    `participant` is an id, or a whole name without regard to case.
    """

    account: AccountId | None = None
    external_id: Text | None = None
    participant: Text | None = None
    metadata: Annotated[str, Meta(pattern=METADATA_PATTERN, max_length=2 * TEXT_CHARS_MAX + 1)] | None = None
    state: ConversationState | None = None
    created_from: Moment | None = None
    created_until: Moment | None = None
    order: Order = Order.OLDEST_FIRST


async def create(call: ApiCall) -> web.Response:
    body = await call.body(CreateConversation)
    account = body.account or call.caller.account or DEFAULT_ACCOUNT
    if call.caller.key is not None and not call.caller.key.reaches(account):
        raise caller_error("forbidden", "Your key reaches its own account only.", status=403)
    conversation = await call.context.ports.conversations.create(
        account=account, template=body.template, external_id=body.external_id, metadata=body.metadata
    )
    return created(conversation, f"/v1/conversations/{conversation.id}")


async def list_all(call: ApiCall) -> web.Response:
    query = call.query(SearchQuery)
    found = await call.context.ports.history.conversations(_search(query, call))
    return json_response(ConversationPage(*first_page(found, query.limit)))


async def overviews(call: ApiCall) -> web.Response:
    query = call.query(SearchQuery)
    found = await call.context.ports.history.overviews(_search(query, call))
    return json_response(OverviewPage(*first_page(found, query.limit)))


def _search(query: SearchQuery, call: ApiCall) -> ConversationSearch:
    key, _, value = (query.metadata or "").partition(":")
    return ConversationSearch(
        account=query.account or call.caller.account,
        external_id=query.external_id,
        participant=query.participant,
        metadata=(key, value) if query.metadata is not None else None,
        state=query.state,
        created_from=query.created_from,
        created_until=query.created_until,
        newest_first=query.order is Order.NEWEST_FIRST,
        after=query.after,
        limit=query.limit + 1,
    )


async def get(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.conversations.get(call.path("conversation")))


async def end(call: ApiCall) -> web.Response:
    ended = await call.context.ports.conversations.end(call.path("conversation"))
    call.request.app[ROOMS].end(ended.id)
    return json_response(ended)


class DeleteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether recordings that run may be ended and deleted with it."""

    end_recordings: bool = False


async def delete(call: ApiCall) -> web.Response:
    wanted = call.query(DeleteQuery)
    await call.context.ports.conversations.delete(
        call.path("conversation"), end_recordings=wanted.end_recordings
    )
    call.request.app[ROOMS].end(call.path("conversation"))
    return web.Response(status=HTTPStatus.NO_CONTENT)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/conversations",
        id="createConversation",
        summary="Create a conversation.",
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
        summary="Find conversations.",
        handler=list_all,
        query=SearchQuery,
        replies=(Reply(200, "A page of conversations.", ConversationPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/conversation-overviews",
        id="listConversationOverviews",
        summary="Find conversations, each with who took part and how much was recorded.",
        handler=overviews,
        query=SearchQuery,
        replies=(Reply(200, "A page of overviews.", OverviewPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION,
        id="getConversation",
        summary="Get a conversation.",
        handler=get,
        replies=(Reply(200, "The conversation.", Conversation),),
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _CONVERSATION,
        id="deleteConversation",
        summary="Delete a conversation and its recordings with it.",
        handler=delete,
        query=DeleteQuery,
        replies=(Reply(204, "It is gone."),),
        problems={409: ("recording_in_progress",)},
        tag=_TAG,
    ),
    Operation(
        "POST",
        _CONVERSATION + "/end",
        id="endConversation",
        summary="End a conversation; what is recorded of it ends too.",
        handler=end,
        replies=(Reply(200, "The ended conversation.", Conversation),),
        problems={409: ("conflict",)},
        tag=_TAG,
    ),
)
