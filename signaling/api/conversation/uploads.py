"""/v1/conversations/{conversation}/uploads: sending files by tus 1.0.0 (https://tus.io/protocols/resumable-upload).

The core protocol with the extensions creation, expiration and termination. The id of an upload is the id of
the file that it becomes.
"""

import base64
import binascii
import re
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.handlers import format_date_time

from aiohttp import web

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.files.file import FILE_BYTES_MAX, FileState, SharedFile
from recorder.kernel.limits import TEXT_CHARS_MAX
from signaling.routes.operation import LOCATION, ApiCall, BinaryBody, Header, Operation, Reply

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
CONTENT_TYPE = "application/offset+octet-stream"
METADATA_CHARS_MAX = 4 * 1024  # of Upload-Metadata: a name and a type, in base 64, several times over
_TAG = "files"
_UPLOADS = "/v1/conversations/{conversation}/uploads"
_UPLOAD = _UPLOADS + "/{upload}"
_NUMBER = re.compile(r"[0-9]{1,15}\Z")


class _Announced(NamedTuple):
    filename: str
    content_type: str


async def terms(call: ApiCall) -> web.Response:
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(FILE_BYTES_MAX),
        "Tus-Resumable": VERSION,
    }
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


async def create(call: ApiCall) -> web.Response:
    _check_version(call)
    announced = _metadata(call.request.headers.get("Upload-Metadata", ""))
    conversation = call.path("conversation")
    file = await call.context.ports.uploads.create(
        call.caller,
        conversation,
        filename=announced.filename,
        content_type=announced.content_type,
        length=_number(call, "Upload-Length"),
    )
    call.tell({"filename": file.filename, "bytes": str(file.bytes)}, target=file.id)
    response = _told(call, file, HTTPStatus.CREATED)
    response.headers["Location"] = f"/v1/conversations/{conversation}/uploads/{file.id}"
    return response


async def find(call: ApiCall) -> web.Response:
    _check_version(call)
    port = call.context.ports.uploads
    file = await port.find(call.caller, call.path("conversation"), call.path("upload"))
    response = _told(call, file, HTTPStatus.OK)
    response.headers["Upload-Length"] = str(file.bytes)
    return response


async def append(call: ApiCall) -> web.Response:
    _check_version(call)
    file = await call.context.ports.uploads.append(
        call.caller,
        call.path("conversation"),
        call.path("upload"),
        offset=_number(call, "Upload-Offset"),
        chunks=call.chunks(),
    )
    return _told(call, file, HTTPStatus.NO_CONTENT)


async def cancel(call: ApiCall) -> web.Response:
    _check_version(call)
    await call.context.ports.uploads.cancel(call.caller, call.path("conversation"), call.path("upload"))
    return web.Response(status=HTTPStatus.NO_CONTENT, headers={"Tus-Resumable": VERSION})


def _told(call: ApiCall, file: SharedFile, status: HTTPStatus) -> web.Response:
    headers = {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(file.received),
        "Cache-Control": "no-store",
    }
    if file.state is FileState.UPLOADING:
        expires_at = call.context.ports.uploads.expires_at()
        headers["Upload-Expires"] = format_date_time(expires_at.timestamp())
    return web.Response(status=status, headers=headers)


def _check_version(call: ApiCall) -> None:
    if call.request.headers.get("Tus-Resumable") != VERSION:
        detail = f"Tus-Resumable has to be {VERSION}."
        raise caller_error("tus_version_unsupported", detail, status=HTTPStatus.PRECONDITION_FAILED)


def _number(call: ApiCall, name: str) -> int:
    value = call.request.headers.get(name, "")
    if _NUMBER.match(value) is None:
        raise caller_error("invalid_header", f"{name} has to be a number of bytes.")
    return int(value)


def _metadata(field: str) -> _Announced:
    """`filename` and `filetype` of Upload-Metadata: pairs of a key and base 64, between commas."""
    if len(field) > METADATA_CHARS_MAX:
        raise _bad_metadata()
    values: dict[str, str] = {}
    for pair in field.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            values[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _bad_metadata() from error
    return _Announced(
        values.get("filename", "")[: 4 * TEXT_CHARS_MAX], values.get("filetype", "")[:TEXT_CHARS_MAX]
    )


def _bad_metadata() -> BystanderError:
    return caller_error("invalid_header", "Upload-Metadata has to be keys with values in base 64.")


_RESUMABLE = Header("Tus-Resumable", "1.0.0")
_OFFSET = Header("Upload-Offset", "How many bytes are safe here.")
_LENGTH = Header("Upload-Length", "How many bytes the file has.")
_EXPIRES = Header("Upload-Expires", "Until when it can be gone on with.")
_REFUSALS = {
    400: ("invalid_header",),
    403: ("file_transfer_disabled",),
    409: ("conversation_ended",),
    412: ("tus_version_unsupported",),
    503: ("storage_test_failed", "upload_elsewhere"),
}
OPERATIONS = (
    Operation(
        "OPTIONS",
        _UPLOADS,
        id="getUploadTerms",
        summary="What of the tus protocol is understood.",
        handler=terms,
        replies=(
            Reply(
                204,
                "In its headers.",
                headers=(
                    Header("Tus-Version", "1.0.0"),
                    Header("Tus-Extension", EXTENSIONS),
                    Header("Tus-Max-Size", "Bytes of a file, at most."),
                ),
            ),
        ),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _UPLOADS,
        id="createUpload",
        summary="Begin to send a file.",
        handler=create,
        headers=(
            _RESUMABLE,
            _LENGTH,
            Header("Upload-Metadata", "`filename` and `filetype`, each with its value in base 64."),
        ),
        replies=(Reply(201, "Send it there.", headers=(LOCATION, _OFFSET, _EXPIRES)),),
        speaks_in_headers=True,
        problems={
            **_REFUSALS,
            413: ("file_too_large",),
            429: ("too_many_uploads",),
            500: ("disk_failed",),
            507: ("disk_full",),
        },
        tag=_TAG,
    ),
    Operation(
        "HEAD",
        _UPLOAD,
        id="getUpload",
        summary="How much of a file was received.",
        handler=find,
        headers=(_RESUMABLE,),
        replies=(Reply(200, "In its headers.", headers=(_OFFSET, _LENGTH, _EXPIRES)),),
        problems={412: ("tus_version_unsupported",), 503: ("upload_elsewhere",)},
        tag=_TAG,
    ),
    Operation(
        "PATCH",
        _UPLOAD,
        id="appendUpload",
        summary="Send a file, or more of it.",
        handler=append,
        headers=(_RESUMABLE, Header("Upload-Offset", "Where these bytes begin.")),
        body=BinaryBody((CONTENT_TYPE,), FILE_BYTES_MAX),
        replies=(Reply(204, "They are safe.", headers=(_OFFSET, _EXPIRES)),),
        problems={
            **_REFUSALS,
            409: ("conversation_ended", "offset_wrong", "upload_interrupted"),
            410: ("upload_gone",),
            413: ("file_too_large",),
            500: ("disk_failed",),
            507: ("disk_full",),
        },
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _UPLOAD,
        id="cancelUpload",
        summary="Give up sending a file.",
        handler=cancel,
        headers=(_RESUMABLE,),
        replies=(Reply(204, "It is forgotten."),),
        problems={409: ("file_complete",), 412: ("tus_version_unsupported",), 503: ("upload_elsewhere",)},
        tag=_TAG,
    ),
)
