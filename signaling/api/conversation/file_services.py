"""/v1/conversations/{conversation}/services: what a caller may do now, and backgrounds."""

import msgspec
from aiohttp import web

from recorder.kernel.files.file import Background, ConversationServices
from signaling.http.byte_answers import answer_bytes
from signaling.room import EFFECTS
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

_TAG = "files"
_CONVERSATION = "/v1/conversations/{conversation}"


class OfferedBackgrounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent may stand in front of: the page's own pictures (`built_in`), and those uploaded.

    `effects`: whether this server has what puts one behind somebody; without it a page offers none.
    """

    built_in: bool
    effects: bool
    items: list[Background]


async def services(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.files.services(call.caller, call.path("conversation")))


async def backgrounds(call: ApiCall) -> web.Response:
    built_in, items = await call.context.ports.backgrounds.offered(call.caller, call.path("conversation"))
    return json_response(
        OfferedBackgrounds(built_in=built_in, effects=call.request.app[EFFECTS], items=items)
    )


async def background(call: ApiCall) -> web.StreamResponse:
    conversation = await call.context.ports.conversations.get(call.path("conversation"))
    port = call.context.ports.backgrounds
    opened = await port.content(conversation.account, call.path("background"))
    try:
        return await answer_bytes(call.request, opened, attachment=False)
    finally:
        await opened.reader.close()


OPERATIONS = (
    Operation(
        "GET",
        _CONVERSATION + "/services",
        id="getServices",
        summary="What the caller may do: send files, take snapshots, stand in front of a background.",
        handler=services,
        replies=(Reply(200, "Each service, and why it is off where it is.", ConversationServices),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION + "/backgrounds",
        id="listOfferedBackgrounds",
        summary="List the backgrounds that agents are offered in this conversation.",
        handler=backgrounds,
        replies=(Reply(200, "The backgrounds.", OfferedBackgrounds),),
        problems={403: ("backgrounds_disabled",), 503: ("storage_test_failed",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION + "/backgrounds/{background}",
        id="getOfferedBackground",
        summary="Get the picture of a background.",
        handler=background,
        replies=(Reply(200, "The picture.", media_type="image/*"),),
        problems={502: ("media_incomplete",), 503: ("store_unreachable",)},
        tag=_TAG,
    ),
)
