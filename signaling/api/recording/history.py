"""/v1/recordings, looked back at: found in all conversations, with all around them; and never deleted."""

import msgspec
from aiohttp import web

from recorder.kernel.errors import caller_error
from recorder.kernel.history import RecordingDetails, RecordingSearch
from recorder.kernel.recording import RecordingState
from signaling.http.pages import Order, PageQuery, first_page
from signaling.http.text_types import AccountId, Moment
from signaling.routes.operation import ApiCall, Operation, Reply, json_response
from signaling.routes.presentation import present

_TAG = "recordings"
_RECORDING = "/v1/recordings/{recording}"


class RecordingQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """What is looked for; everything that is given has to hold."""

    account: AccountId | None = None
    conversation: AccountId | None = None
    state: RecordingState | None = None
    requested_from: Moment | None = None
    requested_until: Moment | None = None
    order: Order = Order.OLDEST_FIRST


class RecordingDetailsPage(msgspec.Struct, frozen=True):
    """Recordings in the order that was asked for; `next_after` is the `after` of the next page."""

    items: list[RecordingDetails]
    next_after: str | None


async def find(call: ApiCall) -> web.Response:
    query = call.query(RecordingQuery)
    found = await call.context.ports.history.recordings(
        RecordingSearch(
            account=query.account or call.caller.account,
            conversation=query.conversation,
            state=query.state,
            requested_from=query.requested_from,
            requested_until=query.requested_until,
            newest_first=query.order is Order.NEWEST_FIRST,
            after=query.after,
            limit=query.limit + 1,
        )
    )
    page, next_after = first_page(found, query.limit)
    return json_response(RecordingDetailsPage([_presented(one, call) for one in page], next_after))


async def details(call: ApiCall) -> web.Response:
    found = await call.context.ports.history.details(call.path("recording"))
    return json_response(_presented(found, call))


async def delete(call: ApiCall) -> web.Response:
    recording = await call.context.ports.recordings.get(call.path("recording"))
    raise caller_error(
        "conversation_exists",
        f"A recording stays as long as its conversation; delete {recording.conversation} with all of it.",
        status=409,
    )


def _presented(found: RecordingDetails, call: ApiCall) -> RecordingDetails:
    return msgspec.structs.replace(found, recording=present(found.recording, call))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/recordings",
        id="findRecordings",
        summary="Find recordings in all conversations.",
        handler=find,
        query=RecordingQuery,
        replies=(Reply(200, "A page of recordings.", RecordingDetailsPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _RECORDING + "/details",
        id="getRecordingDetails",
        summary="Get a recording with its conversation, participants and attempts.",
        handler=details,
        replies=(Reply(200, "The recording and what stands around it.", RecordingDetails),),
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _RECORDING,
        id="deleteRecording",
        summary="Refused: a recording is deleted with its conversation, and not without it.",
        handler=delete,
        replies=(),
        problems={409: ("conversation_exists",)},
        tag=_TAG,
    ),
)
