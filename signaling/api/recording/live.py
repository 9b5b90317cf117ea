"""/v1/live: recordings that are not over, once or as server-sent events."""

import asyncio
from contextlib import suppress

import msgspec
from aiohttp import web

from signaling.console_port import LiveRecording
from signaling.http.streams import write
from signaling.http.text_types import AccountId
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

LOOK_EVERY_S = 1.0  # a person sees a clock stand still that moves more seldom
KEEPALIVE_S = 15.0  # proxies drop a silent connection after 30 to 60 s
STREAM_S_MAX = 600.0  # then the browser asks again: so long a session that has ended may still look on
STALL_S_MAX = 30.0
_TAG = "recordings"


class LiveQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which account; without it, of all that the caller reaches."""

    account: AccountId | None = None


class LiveRecordings(msgspec.Struct, frozen=True):
    """All that run, in the order in which they were asked for."""

    items: list[LiveRecording]


async def list_all(call: ApiCall) -> web.Response:
    return json_response(await _now(call))


async def follow(call: ApiCall) -> web.StreamResponse:
    first = msgspec.json.encode(await _now(call))
    with call.context.streams.admit():
        response = web.StreamResponse(
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "Content-Type": "text/event-stream; charset=utf-8",
            }
        )
        await response.prepare(call.request)
        await write(response, _event(first), stall_s_max=STALL_S_MAX)
        await _follow(call, response, first)
    return response


async def _follow(call: ApiCall, response: web.StreamResponse, before: bytes) -> None:
    """Send all of it whenever something is another, a comment in silence; end when the server closes."""
    silent_s = 0.0
    for _ in range(int(STREAM_S_MAX / LOOK_EVERY_S)):
        with suppress(TimeoutError):
            await asyncio.wait_for(call.context.closing.wait(), LOOK_EVERY_S)
            return
        now, silent_s = msgspec.json.encode(await _now(call)), silent_s + LOOK_EVERY_S
        if now != before:
            await write(response, _event(now), stall_s_max=STALL_S_MAX)
        elif silent_s >= KEEPALIVE_S:
            await write(response, b": still here\n\n", stall_s_max=STALL_S_MAX)
        else:
            continue
        before, silent_s = now, 0.0


async def _now(call: ApiCall) -> LiveRecordings:
    account = call.query(LiveQuery).account or call.caller.account
    return LiveRecordings(await call.context.ports.console.live(account=account))


def _event(data: bytes) -> bytes:
    return b"event: live\ndata: %s\n\n" % data  # one line: JSON escapes line breaks


OPERATIONS = (
    Operation(
        "GET",
        "/v1/live",
        id="listLive",
        summary="List the recordings that are not over, with how they do.",
        handler=list_all,
        query=LiveQuery,
        replies=(Reply(200, "All of them.", LiveRecordings),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/live/events",
        id="followLive",
        summary="Follow the recordings that are not over as server-sent events named `live`.",
        handler=follow,
        query=LiveQuery,
        replies=(Reply(200, "Events, each with all of them.", media_type="text/event-stream"),),
        problems={503: ("too_many_streams",)},
        tag=_TAG,
    ),
)
