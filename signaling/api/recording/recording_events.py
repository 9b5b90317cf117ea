"""GET /v1/recordings/{id}/events.jsonl: who came, left, was muted or shared, on the recording's clock."""

from aiohttp import web

from signaling.routes.operation import ApiCall, Operation, Reply

CONTENT_TYPE = "application/x-ndjson"


async def events(call: ApiCall) -> web.Response:
    lines = await call.context.ports.console.events(call.path("recording"))
    return web.Response(body=lines, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


OPERATIONS = (
    Operation(
        "GET",
        "/v1/recordings/{recording}/events.jsonl",
        id="getRecordingEvents",
        summary="Get what happened in a recording until now, an event in each line.",
        handler=events,
        replies=(Reply(200, "Lines of JSON.", media_type=CONTENT_TYPE),),
        problems={409: ("no_events",), 503: ("store_changed", "store_not_configured", "store_unreachable")},
        tag="recordings",
    ),
)
