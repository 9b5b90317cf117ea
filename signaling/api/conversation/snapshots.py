"""/v1/conversations/{conversation}/snapshots: asked for by an agent, sent by who is in it."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.errors import caller_error
from recorder.kernel.files.file import PictureSource, SharedFile
from recorder.kernel.limits import MIB
from signaling.api.conversation.files import with_links
from signaling.room import ROOMS
from signaling.routes.operation import LOCATION, ApiCall, BinaryBody, Operation, Reply, created, json_response

PICTURE_BYTES_MAX = 20 * MIB
_TAG = "files"
_SNAPSHOTS = "/v1/conversations/{conversation}/snapshots"
_SNAPSHOT = _SNAPSHOTS + "/{snapshot}"


class TakeSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of whom, and of what of theirs."""

    participant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")]
    source: PictureSource = PictureSource.CAMERA


class NoSnapshot(StrEnum):
    """Why there is no picture."""

    REFUSED = "snapshot_refused"  # they said no
    NO_PICTURE = "no_picture"  # their camera is off, or nothing is shared


class RefuseSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: NoSnapshot


async def take(call: ApiCall) -> web.Response:
    body, conversation = await call.body(TakeSnapshot), call.path("conversation")
    if not call.request.app[ROOMS].is_seated(conversation, body.participant):
        raise caller_error("not_in_room", "They are not in the conversation's room now.", status=409)
    asked = await call.context.ports.snapshots.ask(
        call.caller, conversation, subject=body.participant, source=body.source
    )
    call.tell({"subject": body.participant, "source": body.source.value}, target=asked.id)
    shown = with_links(asked, call)
    return created(shown, f"/v1/conversations/{conversation}/files/{asked.id}")


async def send(call: ApiCall) -> web.Response:
    taken = await call.context.ports.snapshots.take(
        call.caller, call.path("conversation"), call.path("snapshot"), chunks=call.chunks()
    )
    return json_response(with_links(taken, call), status=HTTPStatus.ACCEPTED)


async def refuse(call: ApiCall) -> web.Response:
    body = await call.body(RefuseSnapshot)
    refused = await call.context.ports.snapshots.refuse(
        call.caller, call.path("conversation"), call.path("snapshot"), reason=body.reason.value
    )
    return json_response(with_links(refused, call))


_OFF = {403: ("snapshots_disabled",), 503: ("storage_test_failed",)}
OPERATIONS = (
    Operation(
        "POST",
        _SNAPSHOTS,
        id="takeSnapshot",
        summary="Have a picture taken of a visitor's camera or share, at its full resolution.",
        handler=take,
        body=TakeSnapshot,
        replies=(Reply(201, "ASKED; the file tells what becomes of it.", SharedFile, headers=(LOCATION,)),),
        problems={
            **_OFF,
            409: ("conversation_ended", "not_in_room"),
            422: ("not_a_visitor",),
            429: ("too_many_uploads",),
        },
        tag=_TAG,
    ),
    Operation(
        "PUT",
        _SNAPSHOT + "/picture",
        id="sendSnapshot",
        summary="The picture itself, from whoever is in it.",
        handler=send,
        body=BinaryBody(("image/png", "image/jpeg"), PICTURE_BYTES_MAX),
        replies=(Reply(202, "It is being stored.", SharedFile),),
        problems={
            409: ("snapshot_over",),
            413: ("picture_too_large",),
            422: ("picture_invalid",),
            503: ("overloaded", "storage_test_failed"),
            500: ("disk_failed",),
            507: ("disk_full",),
        },
        tag=_TAG,
    ),
    Operation(
        "POST",
        _SNAPSHOT + "/refuse",
        id="refuseSnapshot",
        summary="Say that there will be no picture, as who would be in it.",
        handler=refuse,
        body=RefuseSnapshot,
        replies=(Reply(200, "REFUSED.", SharedFile),),
        problems={409: ("snapshot_over",)},
        tag=_TAG,
    ),
)
