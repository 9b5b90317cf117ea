"""/v1/accounts/{account}/backgrounds: pictures that the account's agents may stand in front of."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.kernel.files.file import Background
from recorder.kernel.limits import MIB
from signaling.http.byte_answers import answer_bytes
from signaling.http.text_types import Text
from signaling.routes.operation import LOCATION, ApiCall, BinaryBody, Operation, Reply, created, json_response

PICTURE_BYTES_MAX = 20 * MIB
_TAG = "settings"
_BACKGROUNDS = "/v1/accounts/{account}/backgrounds"
_BACKGROUND = _BACKGROUNDS + "/{background}"


class AddQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What agents see it called; without `template` it is for all of the account."""

    name: Text
    template: Text | None = None


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`template`: only what counts there."""

    template: Text | None = None


class Backgrounds(msgspec.Struct, frozen=True):
    """All of an account, the oldest first."""

    items: list[Background]


async def add(call: ApiCall) -> web.Response:
    query, account = call.query(AddQuery), call.path("account")
    made = await call.context.ports.backgrounds.add(
        account, query.template, name=query.name, chunks=call.chunks()
    )
    call.tell({"name": made.name}, target=made.id)
    return created(_linked(made), f"/v1/accounts/{account}/backgrounds/{made.id}")


async def list_all(call: ApiCall) -> web.Response:
    found = await call.context.ports.backgrounds.list(call.path("account"), call.query(ListQuery).template)
    return json_response(Backgrounds([_linked(one) for one in found]))


async def get(call: ApiCall) -> web.StreamResponse:
    opened = await call.context.ports.backgrounds.content(call.path("account"), call.path("background"))
    try:
        return await answer_bytes(call.request, opened, attachment=False)
    finally:
        await opened.reader.close()


async def remove(call: ApiCall) -> web.Response:
    await call.context.ports.backgrounds.remove(call.path("account"), call.path("background"))
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _linked(background: Background) -> Background:
    path = f"/v1/accounts/{background.account}/backgrounds/{background.id}"
    return msgspec.structs.replace(background, links={"picture": path})


OPERATIONS = (
    Operation(
        "POST",
        _BACKGROUNDS,
        id="addBackground",
        summary="Upload a background.",
        handler=add,
        query=AddQuery,
        body=BinaryBody(("image/png", "image/jpeg"), PICTURE_BYTES_MAX),
        replies=(Reply(201, "The background.", Background, headers=(LOCATION,)),),
        problems={
            409: ("too_many_backgrounds",),
            413: ("picture_too_large",),
            422: ("picture_invalid",),
            500: ("disk_failed",),
            503: ("overloaded", "storage_test_failed", "store_unreachable"),
            507: ("disk_full",),
        },
        tag=_TAG,
    ),
    Operation(
        "GET",
        _BACKGROUNDS,
        id="listBackgrounds",
        summary="List the backgrounds of an account.",
        handler=list_all,
        query=ListQuery,
        replies=(Reply(200, "The backgrounds.", Backgrounds),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _BACKGROUND,
        id="getBackground",
        summary="Get the picture of a background.",
        handler=get,
        replies=(Reply(200, "The picture.", media_type="image/*"),),
        problems={502: ("media_incomplete",), 503: ("store_unreachable",)},
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _BACKGROUND,
        id="deleteBackground",
        summary="Remove a background; whoever stands in front of it keeps it until they choose another.",
        handler=remove,
        replies=(Reply(204, "It is gone."),),
        problems={503: ("store_unreachable",)},
        tag=_TAG,
    ),
)
