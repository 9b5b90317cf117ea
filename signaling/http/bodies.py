"""Request bodies and query strings, bounded and parsed into types that cannot be wrong."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec
from aiohttp import web
from multidict import MultiMapping

from recorder.kernel.errors import BystanderError, caller_error
from signaling.http.problems import InvalidInputError

BODY_READ_S_MAX = 30.0  # 64 KiB in this time is slower than any link that could carry a call
YEAR_MIN, YEAR_MAX = 1970, 9998  # of times that callers send
_CHUNK_BYTES = 16 * 1024
_STREAMED_CHUNK_BYTES = 64 * 1024  # what aiohttp buffers anyway
_DETAIL_CHARS_MAX = 200  # msgspec quotes the name of an unknown field, which the caller chose
_VALIDATION_PATH = re.compile(r" - at (?:`key` in )?`(?P<path>[^`]*)`\Z")

_BODY = web.RequestKey("body", bytes)

T = TypeVar("T", bound=msgspec.Struct)


async def read_json(request: web.Request, type_: type[T], *, bytes_max: int) -> T:
    """Read and decode a JSON body. An empty one is an empty object.

    Raises 413, 415, 408, 400 invalid_json, 422 invalid_body (with the field's path).
    """
    body = await read_body(request, bytes_max)
    if not body:
        body = b"{}"
    else:
        require_media_type(request, "application/json")
    try:
        return _within_time(msgspec.json.decode(body, type=type_), "invalid_body", 422, "$.")
    except msgspec.ValidationError as error:
        raise _invalid("invalid_body", error, HTTPStatus.UNPROCESSABLE_ENTITY, "$") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError("invalid_json", "The body is not JSON.", field="$", status=400) from error


async def read_text(request: web.Request, media_type: str, *, bytes_max: int) -> str:
    """Read a UTF-8 body of this media type. Raises 413, 415, 408, 400 invalid_text."""
    require_media_type(request, media_type)
    body = await read_body(request, bytes_max)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("invalid_text", "The body is not UTF-8.", field="$", status=400) from error
    if "\0" in text:
        raise InvalidInputError("invalid_text", "The body has NUL characters.", field="$", status=400)
    return text


def read_query(query: MultiMapping[str], type_: type[T]) -> T:
    """Convert a query string to `type_`; 400 invalid_query with the parameter's name."""
    return convert_query(unique_values(query), type_)


def unique_values(query: MultiMapping[str]) -> dict[str, str]:
    """The parameters of a query string; 400 invalid_query when one is given twice."""
    values: dict[str, str] = {}
    for name, value in query.items():
        if name in values:
            name = name[:_DETAIL_CHARS_MAX]
            detail = f"{name} is given twice."
            raise InvalidInputError("invalid_query", detail, field=f"query.{name}", status=400)
        values[name] = value
    return values


def convert_query(values: Mapping[str, str], type_: type[T]) -> T:
    """Convert query parameters that are known to be unique."""
    try:
        return _within_time(
            msgspec.convert(dict(values), type_, strict=False), "invalid_query", 400, "query."
        )
    except msgspec.ValidationError as error:
        raise _invalid("invalid_query", error, HTTPStatus.BAD_REQUEST, "query") from error


def _within_time(value: T, code: str, status: int, root: str) -> T:
    """Times that our calendar and every database can turn into UTC; the same value, or InvalidInputError."""
    for name in value.__struct_fields__:
        given = getattr(value, name)
        if isinstance(given, datetime) and not YEAR_MIN <= given.year <= YEAR_MAX:
            detail = f"A time lies between the years {YEAR_MIN} and {YEAR_MAX}."
            raise InvalidInputError(code, detail, field=root + name, status=status)
    return value


def require_media_type(request: web.Request, media_type: str) -> None:
    """Raise 415 unless the request's Content-Type is this; parameters (charset) do not count."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != media_type:
        raise caller_error("unsupported_media_type", f"The Content-Type has to be {media_type}.", status=415)


async def chunks_of(
    request: web.Request, media_types: Collection[str], *, bytes_max: int
) -> AsyncIterator[bytes]:
    """The body in chunks, for whoever keeps no more than one of them. Raises 415, 413, 400 malformed_body.

    How long a chunk may take is up to the reader.
    """
    found = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found not in media_types:
        wanted = " or ".join(media_types)
        raise caller_error("unsupported_media_type", f"The Content-Type has to be {wanted}.", status=415)
    if request.content_length is not None and request.content_length > bytes_max:
        raise _too_large(bytes_max)
    received = 0
    try:
        async for chunk in request.content.iter_chunked(_STREAMED_CHUNK_BYTES):
            received += len(chunk)
            if received > bytes_max:
                raise _too_large(bytes_max)
            yield chunk
    except (web.RequestPayloadError, aiohttp.ClientPayloadError, aiohttp.http.HttpProcessingError) as error:
        raise caller_error("malformed_body", "The body's encoding is broken.") from error


async def read_body(request: web.Request, bytes_max: int) -> bytes:
    """The whole body, however often it is asked for. Raises 413, 408, 400 malformed_body."""
    known = request.get(_BODY)
    if known is None:
        known = request[_BODY] = await _read(request, bytes_max)
    if len(known) > bytes_max:
        raise _too_large(bytes_max)
    return known


async def _read(request: web.Request, bytes_max: int) -> bytes:
    if request.content_length is not None and request.content_length > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_READ_S_MAX):
            async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as error:
        raise caller_error("body_too_slow", "The body did not arrive in time.", status=408) from error
    except (web.RequestPayloadError, aiohttp.ClientPayloadError, aiohttp.http.HttpProcessingError) as error:
        raise caller_error("malformed_body", "The body's encoding is broken.") from error
    return bytes(body)


def _too_large(bytes_max: int) -> BystanderError:
    return caller_error("body_too_large", f"The body may have at most {bytes_max} bytes.", status=413)


def _invalid(code: str, error: msgspec.ValidationError, status: HTTPStatus, root: str) -> InvalidInputError:
    """Take msgspec's message apart: what is wrong, and where."""
    message = str(error)
    match = _VALIDATION_PATH.search(message)
    path = match["path"] if match else "$"
    detail = _VALIDATION_PATH.sub("", message)[:_DETAIL_CHARS_MAX]
    return InvalidInputError(code, detail + ".", field=root + path.removeprefix("$"), status=status)
