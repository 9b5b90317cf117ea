"""Answers that are stored bytes: whole or a range, with entity tags, under a name to save them by."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from recorder.kernel.errors import BystanderError, Fault
from signaling.http.ranges import ByteRange, entity_tag, matches_weakly, parse_range, range_applies
from signaling.http.streams import closing, write
from signaling.media_port import MediaBytes

STALL_S_MAX = 600.0  # a paused player stops reading; later it asks again with Range


async def answer_bytes(
    request: web.Request,
    opened: MediaBytes,
    *,
    attachment: bool,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send what is open, or the range that is asked for; `headers` beside those of bytes."""
    etag = _etag_of(opened)
    fields = {
        **(headers or {}),
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(opened.filename, attachment=attachment),
        "Cache-Control": "private, no-cache" if opened.complete else "no-store",
    }
    if matches_weakly(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=fields)
    part = _part(request, opened.size, etag)
    if part is not None:
        fields["Content-Range"] = part.content_range(opened.size)
    response = web.StreamResponse(
        status=HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, headers=fields
    )
    response.content_type = opened.content_type
    await _send(request, response, opened, part or ByteRange(0, opened.size))
    return response


def _etag_of(opened: MediaBytes) -> str:
    if opened.complete:
        return entity_tag(opened.etag)
    return entity_tag(f"{opened.etag.strip(chr(34))}+{opened.size}")


def _part(request: web.Request, size: int, etag: str) -> ByteRange | None:
    wanted = request.headers.get("Range")
    # RFC 9110 14.2: Range is defined for GET; a HEAD answers with the fields of the whole
    if wanted is None or request.method != "GET":
        return None
    if not range_applies(request.headers.get("If-Range"), etag):
        return None
    return parse_range(wanted, size)


async def _send(
    request: web.Request, response: web.StreamResponse, opened: MediaBytes, part: ByteRange
) -> None:
    response.content_length = part.length
    if request.method == "HEAD" or part.length == 0:
        await response.prepare(request)
        return
    sent = 0
    async with closing(opened.reader.read(part.start, part.stop)) as chunks:
        async for chunk in chunks:
            if sent == 0:  # not before: until here an error still becomes a problem document
                await response.prepare(request)
            sent += len(chunk)
            await write(response, chunk, stall_s_max=STALL_S_MAX)
    if sent != part.length:
        raise BystanderError(
            "media_incomplete", "The store gave less than it has.", fault=Fault.DESTINATION, status=502
        )
    await response.write_eof()


def content_disposition(filename: str, *, attachment: bool) -> str:
    """RFC 6266: the name in ASCII for old programs, and as it is, encoded, for all others."""
    kept = "".join(char if char.isprintable() and char not in '/\\"' else "_" for char in filename)
    plain = kept.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    encoded = quote(kept.encode("utf-8", "replace"), safe="")
    kind = "attachment" if attachment else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
