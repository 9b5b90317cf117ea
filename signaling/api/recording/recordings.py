"""/v1/recordings: start by hand, look, stop, pause, resume."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.media import PublisherInvitation, SourceKind
from recorder.kernel.recording import Recording
from signaling.http.pages import PageQuery, page_of
from signaling.ports import Caller, Recordings
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response
from signaling.routes.presentation import present

_TAG = "recordings"
_OF_CONVERSATION = "/v1/conversations/{conversation}/recordings"
_RECORDING = "/v1/recordings/{recording}"
_START_PROBLEMS = {
    409: ("conversation_ended", "recording_disabled", "recording_in_progress"),
    503: (
        "disk_almost_full",
        "overloaded",
        "storage_test_failed",
        "store_not_configured",
        "worker_died",
        "worker_not_launched",
    ),
}


class RecordingPage(msgspec.Struct, frozen=True):
    """Recordings in the order in which they were asked for; `next_after` is the `after` of the next page."""

    items: list[Recording]
    next_after: str | None


class InvitePublisher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to publish; `sources` empty: all of them."""

    participant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")]
    sources: Annotated[list[SourceKind], Meta(max_length=len(SourceKind))] = []


async def start(call: ApiCall) -> web.Response:
    recording = await call.context.ports.recordings.start(call.path("conversation"), started_by=call.caller)
    shown = present(recording, call, entry_point=True)
    who, entry_point = call.caller.participant, shown.entry_point
    if who is not None and entry_point is not None:  # who publishes as themself, and as nobody else
        own = call.context.ports.entry_points.token_for(recording.id, who)
        entry_point = msgspec.structs.replace(entry_point, token=own)
        shown = msgspec.structs.replace(shown, entry_point=entry_point)
    return created(shown, f"/v1/recordings/{recording.id}")


async def invite(call: ApiCall) -> web.Response:
    body, recording = await call.body(InvitePublisher), call.path("recording")
    sources = frozenset(body.sources or SourceKind)
    made = await call.context.ports.entry_points.invite(recording, body.participant, sources)
    return created(made, f"/v1/recordings/{recording}")


async def list_of_conversation(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    recordings = await call.context.ports.recordings.list(call.path("conversation"))
    page, next_after = page_of(recordings, query)
    return json_response(RecordingPage([present(one, call) for one in page], next_after))


async def get(call: ApiCall) -> web.Response:
    recording = await call.context.ports.recordings.get(call.path("recording"))
    return json_response(present(recording, call))


Move = Callable[[Recordings, str, Caller], Awaitable[Recording]]


def _moving(move: Move) -> Callable[[ApiCall], Awaitable[web.Response]]:
    async def handler(call: ApiCall) -> web.Response:
        recording = await move(call.context.ports.recordings, call.path("recording"), call.caller)
        return json_response(present(recording, call))

    return handler


def _move(name: str, summary: str, move: Move) -> Operation:
    return Operation(
        "POST",
        f"{_RECORDING}/{name}",
        id=f"{name}Recording",
        summary=summary,
        handler=_moving(move),
        replies=(Reply(200, "The recording as it is now.", Recording),),
        problems={
            409: ("illegal_move",),
            501: ("pause_unsupported",),
            503: ("overloaded", "worker_died"),
        },
        tag=_TAG,
    )


OPERATIONS = (
    Operation(
        "POST",
        _OF_CONVERSATION,
        id="startRecording",
        summary="Start a recording by hand; it takes publishers at its entry point once this answers.",
        handler=start,
        replies=(
            Reply(
                201,
                "The recording with its entry point.",
                Recording,
                headers=(LOCATION,),
            ),
        ),
        problems=_START_PROBLEMS,
        tag=_TAG,
    ),
    Operation(
        "GET",
        _OF_CONVERSATION,
        id="listRecordings",
        summary="List a conversation's recordings, oldest first.",
        handler=list_of_conversation,
        query=PageQuery,
        replies=(Reply(200, "A page of recordings.", RecordingPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _RECORDING,
        id="getRecording",
        summary="Get a recording.",
        handler=get,
        replies=(Reply(200, "The recording.", Recording),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _RECORDING + "/publishers",
        id="invitePublisher",
        summary="Make a token by which one participant publishes, as nobody but themself.",
        handler=invite,
        body=InvitePublisher,
        replies=(Reply(201, "Where and by what they publish.", PublisherInvitation, headers=(LOCATION,)),),
        problems={409: ("not_publishable",)},
        tag=_TAG,
    ),
    _move(
        "stop",
        "Stop a recording; stopping it again changes nothing.",
        lambda recordings, recording, caller: recordings.stop(recording, stopped_by=caller),
    ),
    _move(
        "pause",
        "Pause a recording; what is said meanwhile is not taken.",
        lambda recordings, recording, _: recordings.pause(recording),
    ),
    _move(
        "resume",
        "Go on with a paused recording.",
        lambda recordings, recording, _: recordings.resume(recording),
    ),
)
