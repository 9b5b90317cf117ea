"""Middleware around every handler: a request id, problem documents, metrics, and a log without secrets."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.log.subject import log_about
from signaling.http.problems import MEDIA_TYPE, headers_of, internal_error, problem_of
from signaling.http.ranges import RangeNotSatisfiableError
from signaling.network.connections import Connections
from signaling.routes.context import Context
from signaling.routes.facts import FACTS, REQUEST_ID
from signaling.routes.operation import OPERATION, Operation, is_path_parameter

STARTED = web.RequestKey("started", web.StreamResponse)  # the response whose head is on the wire already
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9_.\-]{8,64}\Z")  # what a proxy in front may hand us
_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}

_log = logging.getLogger(__name__)
_access_log = logging.getLogger("signaling.access")


class HttpMetrics:
    """What is counted of HTTP; labels are operation ids and statuses, so their number is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "bystander_http_requests", "Requests answered.", ["operation", "status"], registry=registry
        )
        self.seconds = Histogram(
            "bystander_http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ["operation"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.in_progress = Gauge(
            "bystander_http_requests_in_progress", "Requests being answered now.", registry=registry
        )


def occupy(connections: Connections) -> Middleware:
    """Tell the book of connections which of them are being answered."""

    @web.middleware
    async def occupying(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        connections.began(transport)
        try:
            return await handler(request)
        finally:
            connections.ended(transport)

    return occupying


def count_others(context: Context, operations: Iterable[Operation]) -> Middleware:
    """Count what is no operation too: pages by their own limit, and what does not exist by its address.

    Operations count themselves, because a token has a limit of its own.
    """
    known = {(operation.method, operation.path) for operation in operations}

    @web.middleware
    async def counting(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        now_ns, share = context.clock.monotonic_ns(), context.clients.share(request)
        if resource is None:
            context.gate.arrive(share, None, now_ns)
        elif (request.method, resource.canonical) not in known:
            context.gate.page(share, now_ns)
        return await handler(request)

    return counting


def observe(metrics: HttpMetrics, gone: Callable[[web.Request], None]) -> Middleware:
    """Give the request its id; count it and log it when it is done. `gone`: its caller saw no answer."""

    @web.middleware
    async def observing(request: web.Request, handler: Handler) -> web.StreamResponse:
        log_about(None)  # a connection's requests come in one task
        given = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = given if _REQUEST_ID_FORM.match(given) else new_id("req")
        began = time.monotonic()
        status = 0  # stays 0 when the caller went away before there was an answer
        metrics.in_progress.inc()
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as redirection:
            status = redirection.status
            raise
        finally:
            metrics.in_progress.dec()
            if status == 0:
                gone(request)
            _record(request, status, time.monotonic() - began, metrics)

    return observing


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into a problem document; never a traceback to the caller."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _answer(request, _from_http(error), _kept_headers(error))
    except BystanderError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.warning("%s: %s", request[REQUEST_ID], error)
        return _answer(request, error)
    except ConnectionError:
        if request.get(STARTED) is None:
            raise
        return _cut_off(request)  # the caller went away in mid-answer
    except Exception:  # noqa: BLE001 - the last place where a defect can still become an answer
        _log.exception("%s: unexpected error in %s", request[REQUEST_ID], redacted_path(request))
        return _answer(request, internal_error())


def complete_locations(
    public_url: str | None,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What is handed out as a path of ours begins with the public URL, where one is configured.

    Else it stays relative: behind a proxy, scheme and host of our own request may not be the caller's.
    """

    async def completing(request: web.Request, response: web.StreamResponse) -> None:
        location = response.headers.get("Location", "")
        if public_url is not None and location.startswith("/"):
            response.headers["Location"] = public_url + location

    return completing


async def mark_started(request: web.Request, response: web.StreamResponse) -> None:
    """On every response as its head is written: remember it, and add what each of them carries."""
    request[STARTED] = response
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    response.headers["Server"] = "Bystander"  # instead of the versions of what is underneath
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")  # room and watch links carry secrets


def redacted_path(request: web.Request) -> str:
    """The path as a log may show it: never the query, the secret of an entry point, or what is no id.

    So it is bounded, and has nothing in it that a log would take for a line of its own.
    """
    operation = request.get(OPERATION)
    is_shown = operation is not None and not operation.confidential_path
    if is_shown and all(map(is_path_parameter, request.match_info.values())):
        return request.path
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(no such path)"


def _answer(
    request: web.Request, error: BystanderError, headers: dict[str, str] | None = None
) -> web.StreamResponse:
    if request.get(STARTED) is not None:
        _log.warning("%s: broke off the answer: %s", request[REQUEST_ID], error)
        return _cut_off(request)
    if (facts := request.get(FACTS)) is not None:
        facts.failed(error.code)
    fields = headers_of(error) | (headers or {})
    if isinstance(error, RangeNotSatisfiableError):
        fields["Content-Range"] = f"bytes */{error.size}"
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(problem_of(error, request[REQUEST_ID])),
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **fields},
    )


def _cut_off(request: web.Request) -> web.StreamResponse:
    """End the connection: an answer that breaks off must not look like a whole one."""
    if request.transport is not None:
        request.transport.abort()
    return request[STARTED]


def _from_http(error: web.HTTPException) -> BystanderError:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error()
    code = _HTTP_CODES.get(error.status, "bad_request")
    detail = {
        "not_found": "There is nothing at this path.",
        "method_not_allowed": "This path does not know this method.",
        "body_too_large": "The body is too large.",
    }.get(code, "The request cannot be understood.")
    return caller_error(code, detail, status=error.status)


def _kept_headers(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


def _record(request: web.Request, status: int, seconds: float, metrics: HttpMetrics) -> None:
    operation = request.get(OPERATION)
    name = "none" if operation is None else operation.id
    metrics.requests.labels(name, str(status)).inc()
    metrics.seconds.labels(name).observe(seconds)
    _access_log.info(
        "%s %s %s %d %.1f ms",
        request[REQUEST_ID],
        request.method,
        redacted_path(request),
        status,
        seconds * 1e3,
    )
