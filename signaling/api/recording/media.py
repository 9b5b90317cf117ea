"""GET and HEAD of a recording's MP4, with ranges, also while it is still being recorded.

While it grows, one answer is a snapshot: the size it has when the request comes. Its entity tag names the
size, so a tag never stands for two contents. Fragments are appended whole, so every snapshot is playable.
"""

import dataclasses
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web

from signaling.http.byte_answers import answer_bytes, content_disposition
from signaling.http.signed_links import link_expiry
from signaling.routes.operation import ApiCall, Header, Operation, Reply


class MediaQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`download` asks for a file instead of something to show; `redirect=store` for the store's own link.

    The others are a signed link's.
    """

    download: bool = False
    redirect: Literal["store"] | None = None
    expires: int | None = None
    signature: str | None = None


async def media(call: ApiCall) -> web.StreamResponse:
    query = call.query(MediaQuery)
    call.tell({"use": "download" if query.download else "playback"})
    if query.redirect is not None:
        return await _redirect(call, download=query.download)
    opened = await call.context.ports.recordings.media(call.path("recording"))
    try:
        return await answer_bytes(call.request, opened, attachment=query.download)
    finally:
        await opened.reader.close()


async def _redirect(call: ApiCall, *, download: bool) -> web.Response:
    """To the store, for as long as the caller could have asked us."""
    recordings, identity = call.context.ports.recordings, call.path("recording")
    name = (await recordings.get(identity)).filename or f"{identity}.mp4"
    now = call.context.clock.utc_now()
    until = call.granted.links_until or link_expiry(now)
    url = await recordings.store_link(
        identity,
        lifetime_s=max(1, int((until - now).total_seconds())),
        method="HEAD" if call.request.method == "HEAD" else "GET",
        content_disposition=content_disposition(name, attachment=download),
    )
    headers = {"Location": url, "Cache-Control": "no-store"}
    return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers=headers)


_ETAG = Header("ETag", "Names exactly these bytes; another one with every byte appended.")
_GET = Operation(
    "GET",
    "/v1/recordings/{recording}/media",
    id="getRecordingMedia",
    summary="Get the MP4, or a range of it, also while it is still being recorded.",
    handler=media,
    query=MediaQuery,
    headers=(
        Header("Range", "One range of bytes."),
        Header("If-Range", "The range counts only if the entity tag is still this."),
        Header("If-None-Match", "Answer 304 if the entity tag is one of these."),
    ),
    replies=(
        Reply(200, "All of it that exists now.", media_type="video/mp4", headers=(_ETAG,)),
        Reply(206, "The range.", media_type="video/mp4", headers=(_ETAG, Header("Content-Range", "Which."))),
        Reply(304, "As the caller has it already.", headers=(_ETAG,)),
        Reply(307, "What `redirect` asked for.", headers=(Header("Location", "In the store."),)),
    ),
    problems={
        409: ("no_media", "no_store_link"),
        404: ("recording_empty", "spool_missing"),
        416: ("range_not_satisfiable",),
        502: ("media_incomplete",),
        503: ("store_changed", "store_not_configured", "store_unreachable"),
    },
    tag="recordings",
)

_HEAD = dataclasses.replace(
    _GET,
    method="HEAD",
    id="headRecordingMedia",
    summary="Get size, type and entity tag of the MP4.",
    headers=_GET.headers[2:],
    replies=(Reply(200, "As GET would answer.", headers=(_ETAG,)), *_GET.replies[2:]),
)
# The same under a name with an ending, for players that judge by it: what playlists link to.
_FILE = "/v1/recordings/{recording}/media.mp4"
_SAME = "The same as /media, for players that want a name which ends in .mp4."

OPERATIONS = (
    _GET,
    _HEAD,
    dataclasses.replace(_GET, path=_FILE, id="getRecordingFile", summary=_SAME),
    dataclasses.replace(_HEAD, path=_FILE, id="headRecordingFile", summary=_SAME),
)
