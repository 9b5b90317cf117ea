"""Problem documents (RFC 9457): the one form in which every error leaves the server."""

from http import HTTPStatus

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from signaling.http.rate_limits import RateLimitedError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2  # long enough for a worker to end, short enough for a person who waits
RETRY_AFTER_S_BY_CODE = {
    "recording_interrupted": 1,  # another worker takes a tenth of that; no less can be said
    "overloaded": 10,  # a call may end by then, and what the others take is known
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, whose fault it is, and the id under which the log knows this occurrence.

    `code` is stable and for programs; `detail` is for people. `field` is the path of the offending
    part of the request: `$.metadata`, `query.limit`, `header.If-Match`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    fault: Fault
    instance: str
    field: str | None = None


class InvalidInputError(BystanderError):
    """A part of the request is not what it has to be; `field` names it."""

    def __init__(self, code: str, detail: str, *, field: str, status: int) -> None:
        super().__init__(code, detail, fault=Fault.CALLER, status=status)
        self.field = field


def problem_of(error: BystanderError, request_id: str) -> Problem:
    """The document that tells the caller of `error`."""
    return Problem(
        type=f"/docs#problem-{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=error.status,
        detail=error.detail,
        code=error.code,
        fault=error.fault,
        instance=f"urn:bystander:request:{request_id}",
        field=error.field if isinstance(error, InvalidInputError) else None,
    )


def headers_of(error: BystanderError) -> dict[str, str]:
    """The header fields that RFC 9110 wants beside this status."""
    if error.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="bystander"'}
    if isinstance(error, RateLimitedError):
        return {"Retry-After": str(error.retry_after_s)}
    if error.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return {"Retry-After": str(RETRY_AFTER_S_BY_CODE.get(error.code, RETRY_AFTER_S))}
    return {}


def internal_error() -> BystanderError:
    """Our own defect, without anything of its inside."""
    return BystanderError(
        "internal_error",
        "The server failed to handle this request; its log has the details under this instance.",
        fault=Fault.SERVER,
        status=500,
    )
