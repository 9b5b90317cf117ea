"""/v1/conversations/{conversation}/files: what people sent each other, and pictures that were taken."""

import dataclasses
from collections.abc import Mapping

import msgspec
from aiohttp import web

from recorder.kernel.files.file import FileState, SharedFile
from signaling.http.byte_answers import answer_bytes
from signaling.http.pages import PageQuery, first_page
from signaling.http.signed_links import link_expiry
from signaling.routes.operation import ApiCall, Header, Operation, Reply, json_response
from signaling.routes.presentation import base_url

_TAG = "files"
_FILES = "/v1/conversations/{conversation}/files"
# Whoever wrote the file, it is nothing that a browser opens as a page of ours.
_SEALED: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class FilePage(msgspec.Struct, frozen=True):
    """Files in the order in which they were begun; `next_after` is the `after` of the next page."""

    items: list[SharedFile]
    next_after: str | None


class ContentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both are a signed link's."""

    expires: int | None = None
    signature: str | None = None


def with_links(file: SharedFile, call: ApiCall) -> SharedFile:
    """`self` wants a token; `content`, once it can be fetched, is signed."""
    base, path = (
        base_url(call.context, call.request),
        f"/v1/conversations/{file.conversation}/files/{file.id}",
    )
    links = {"self": base + path}
    if file.state is FileState.AVAILABLE:
        until = link_expiry(call.context.clock.utc_now())
        links["content"] = base + call.context.links.sign(f"{path}/content", until)
    return msgspec.structs.replace(file, links=links)


async def list_all(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    found = await call.context.ports.files.list(
        call.caller, call.path("conversation"), after=query.after, limit=query.limit + 1
    )
    page, next_after = first_page(found, query.limit)
    return json_response(FilePage([with_links(file, call) for file in page], next_after))


async def get(call: ApiCall) -> web.Response:
    port = call.context.ports.files
    file = await port.get(call.caller, call.path("conversation"), call.path("file"))
    return json_response(with_links(file, call))


async def content(call: ApiCall) -> web.StreamResponse:
    call.query(ContentQuery)
    port, caller = call.context.ports.files, call.granted.caller
    opened = await port.content(caller, call.path("conversation"), call.path("file"))
    try:
        return await answer_bytes(call.request, opened, attachment=True, headers=_SEALED)
    finally:
        await opened.reader.close()


_ETAG = Header("ETag", "Names exactly these bytes.")
_GET = Operation(
    "GET",
    _FILES + "/{file}/content",
    id="getFileContent",
    summary="Get a file, or a range of it, to be saved.",
    handler=content,
    query=ContentQuery,
    headers=(
        Header("Range", "One range of bytes."),
        Header("If-Range", "The range counts only if the entity tag is still this."),
        Header("If-None-Match", "Answer 304 if the entity tag is one of these."),
    ),
    replies=(
        Reply(200, "All of it.", media_type="application/octet-stream", headers=(_ETAG,)),
        Reply(206, "The range.", media_type="application/octet-stream", headers=(_ETAG,)),
        Reply(304, "As the caller has it already.", headers=(_ETAG,)),
    ),
    problems={
        404: ("object_missing",),
        409: ("file_not_available",),
        416: ("range_not_satisfiable",),
        502: ("media_incomplete",),
        503: ("store_unreachable",),
    },
    tag=_TAG,
)
OPERATIONS = (
    Operation(
        "GET",
        _FILES,
        id="listFiles",
        summary="List a conversation's files and snapshots.",
        handler=list_all,
        query=PageQuery,
        replies=(Reply(200, "A page of files.", FilePage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _FILES + "/{file}",
        id="getFile",
        summary="Get what is known of a file.",
        handler=get,
        replies=(Reply(200, "The file.", SharedFile),),
        tag=_TAG,
    ),
    _GET,
    dataclasses.replace(
        _GET,
        method="HEAD",
        id="headFileContent",
        summary="Get size and entity tag of a file.",
        headers=_GET.headers[2:],
        replies=(Reply(200, "As GET would answer.", headers=(_ETAG,)), _GET.replies[2]),
    ),
)
