"""/v1/conversations/{conversation}/messages: chat, and what recordings leave among it."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.limits import CHAT_CHARS_MAX
from recorder.kernel.message import Message, MessageKind
from signaling.http.pages import PageQuery, first_page
from signaling.room import ROOMS
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response
from signaling.routes.presentation import recording_links_for

_TAG = "conversations"
_MESSAGES = "/v1/conversations/{conversation}/messages"


class SendMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said. An API key may name the participant who says it."""

    text: Annotated[str, Meta(min_length=1, max_length=CHAT_CHARS_MAX, pattern=r"^[^\u0000]*$")]
    participant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")] | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in their order; `next_after` is the `after` of the next page."""

    items: list[Message]
    next_after: str | None


async def send(call: ApiCall) -> web.Response:
    body, conversation = await call.body(SendMessage), call.path("conversation")
    said = await call.context.ports.messages.say(
        call.caller, conversation, text=body.text, participant=body.participant
    )
    call.request.app[ROOMS].heard(said)
    return created(said, f"/v1/conversations/{conversation}/messages")


async def list_all(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    found = await call.context.ports.messages.list(
        call.caller, call.path("conversation"), after=query.after, limit=query.limit + 1
    )
    page, next_after = first_page(found, query.limit)
    return json_response(MessagePage([_linked(one, call) for one in page], next_after))


def _linked(message: Message, call: ApiCall) -> Message:
    """With the links of the recording that it makes available; whoever sees the message may follow them."""
    if message.kind is not MessageKind.RECORDING_AVAILABLE or message.recording is None:
        return message
    return msgspec.structs.replace(message, links=recording_links_for(message.recording, call))


OPERATIONS = (
    Operation(
        "POST",
        _MESSAGES,
        id="sendMessage",
        summary="Say something in a conversation.",
        handler=send,
        body=SendMessage,
        replies=(Reply(201, "The message.", Message, headers=(LOCATION,)),),
        problems={409: ("conversation_ended",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _MESSAGES,
        id="listMessages",
        summary="List a conversation's messages, with recordings' starts and ends at their place.",
        handler=list_all,
        query=PageQuery,
        replies=(Reply(200, "A page of messages.", MessagePage),),
        tag=_TAG,
    ),
)
