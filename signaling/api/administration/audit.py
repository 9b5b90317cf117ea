"""/v1/audit: the audit log as JSON Lines, and its head, for whoever notes it elsewhere."""

from typing import Annotated

import msgspec
from aiohttp import web

from recorder.kernel.audit.act import AuditHead, AuditSearch
from signaling.http.streams import closing, write
from signaling.http.text_types import Moment
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

CONTENT_TYPE = "application/x-ndjson"
STALL_S_MAX = 60.0
CHUNK_BYTES = 64 * 1024
_TAG = "audit"


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entries after this sequence, in [since, before), of one conversation; without any of them, all."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    since: Moment | None = None
    before: Moment | None = None
    conversation: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")] | None = None


async def export(call: ApiCall) -> web.StreamResponse:
    query = call.query(AuditQuery)
    search = AuditSearch(
        after=query.after, since=query.since, before=query.before, conversation=query.conversation
    )
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    waiting: list[bytes] = []
    async with closing(call.context.ports.audit.lines(search)) as lines:
        async for line in lines:
            waiting.append(line.encode() + b"\n")
            if sum(map(len, waiting)) >= CHUNK_BYTES:
                await _send(call, response, waiting)
    await _send(call, response, waiting)
    await response.write_eof()
    return response


async def head(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.audit.head())


async def _send(call: ApiCall, response: web.StreamResponse, waiting: list[bytes]) -> None:
    """Not before there is something: until then an error still becomes a problem document."""
    if not response.prepared:
        await response.prepare(call.request)
    await write(response, b"".join(waiting), stall_s_max=STALL_S_MAX)
    waiting.clear()


OPERATIONS = (
    Operation(
        "GET",
        "/v1/audit",
        id="exportAudit",
        summary="Export the audit log, an entry in each line, oldest first.",
        handler=export,
        query=AuditQuery,
        replies=(
            Reply(200, "Lines of JSON; each holds the SHA-256 of the one before.", media_type=CONTENT_TYPE),
        ),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/audit/head",
        id="getAuditHead",
        summary="The newest entry's sequence and SHA-256, to be noted elsewhere.",
        handler=head,
        replies=(Reply(200, "The head; 0 and zeros before the first entry.", AuditHead),),
        tag=_TAG,
    ),
)
