"""GET /v1/recordings/{id}/events: a recording's changes as server-sent events (HTML Living Standard, 9.2).

Each event carries the whole recording; its id is the state, so that a client that reconnects after the
last one is told by 204 to stay away.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import Recording, RecordingState
from signaling.http.streams import closing, write
from signaling.routes.authorization import grant
from signaling.routes.operation import ApiCall, Header, Operation, Reply
from signaling.routes.presentation import present, stream_shares

KEEPALIVE_S = 15.0  # proxies drop a silent connection after 30 to 60 s
STALL_S_MAX = 30.0  # an event fits every socket buffer; who does not take it in this time is gone
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_LAST = (RecordingState.AVAILABLE, RecordingState.FAILED)


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed link's parameters."""

    expires: int | None = None
    signature: str | None = None


async def events(call: ApiCall) -> web.StreamResponse:
    call.query(EventsQuery)
    recording = await call.context.ports.recordings.get(call.path("recording"))
    if recording.state in _LAST and call.request.headers.get("Last-Event-ID") == _event_id(recording):
        return web.Response(status=HTTPStatus.NO_CONTENT)
    with call.context.streams.admit(await stream_shares(call, recording.conversation)):
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(call.request)
        watching = call.context.ports.recordings.watch(recording.conversation)
        async with closing(watching):
            await _tell(call, response, recording.id, watching)
    return response


async def _tell(
    call: ApiCall, response: web.StreamResponse, recording: str, watching: AsyncIterator[Recording]
) -> None:
    """Send every change of this recording, a comment in silence, and end with its last state.

    Or with what let the caller in: that is asked again before anything is sent.
    """
    async with closing(beating(watching, call.context.closing, keepalive_s=KEEPALIVE_S)) as changes:
        async for changed in changes:
            if not await _may_still(call):
                return
            if changed is None:
                await write(response, b": still here\n\n", stall_s_max=STALL_S_MAX)
            elif changed.id == recording:
                await write(response, _event(present(changed, call)), stall_s_max=STALL_S_MAX)
                if changed.state in _LAST:
                    return


async def _may_still(call: ApiCall) -> bool:
    """Whether the caller would be let in now: the key may have been revoked, the link have expired."""
    try:
        await grant(call.operation.access, call.request, call.context)
    except BystanderError as error:
        return error.status not in _REFUSALS
    return True


async def beating(
    watching: AsyncIterator[Recording], closes: asyncio.Event, *, keepalive_s: float
) -> AsyncGenerator[Recording | None, None]:
    """Yield what `watching` yields, None after every `keepalive_s` of silence; end when the server closes."""
    closed = asyncio.ensure_future(closes.wait())
    upcoming = asyncio.ensure_future(_next(watching))
    try:
        while True:
            done, _ = await asyncio.wait(
                {closed, upcoming}, timeout=keepalive_s, return_when=asyncio.FIRST_COMPLETED
            )
            if closed in done:
                return
            if upcoming not in done:
                yield None
                continue
            changed = upcoming.result()
            if changed is None:
                return
            yield changed
            upcoming = asyncio.ensure_future(_next(watching))
    finally:
        closed.cancel()
        upcoming.cancel()
        await asyncio.gather(closed, upcoming, return_exceptions=True)


async def _next(watching: AsyncIterator[Recording]) -> Recording | None:
    return await anext(watching, None)


def _event_id(recording: Recording) -> str:
    return f"{recording.id}.{recording.state}"


def _event(recording: Recording) -> bytes:
    data = msgspec.json.encode(recording)  # one line: JSON escapes line breaks
    return b"event: recording\nid: %s\ndata: %s\n\n" % (_event_id(recording).encode(), data)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/recordings/{recording}/events",
        id="watchRecording",
        summary="Follow a recording's changes as server-sent events named `recording`.",
        handler=events,
        query=EventsQuery,
        headers=(Header("Last-Event-ID", "The id of the last event that the client saw."),),
        replies=(
            Reply(200, "Events, each with the whole recording.", media_type="text/event-stream"),
            Reply(204, "The client saw the last event already."),
        ),
        problems={429: ("too_many_streams",), 503: ("too_many_streams",)},
        tag="recordings",
    ),
)
