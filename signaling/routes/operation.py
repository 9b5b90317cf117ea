"""The shape of the route table: one Operation is a route, an entry in /openapi.json and a rule of access."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import web

from recorder.kernel.errors import not_found
from recorder.kernel.limits import JSON_BODY_BYTES_MAX
from recorder.kernel.log.span import span
from signaling.http.bodies import chunks_of, read_json, read_query, read_text
from signaling.ports import Caller
from signaling.routes.access import Access, Scheme, access_to
from signaling.routes.admission import admit, count
from signaling.routes.authorization import Granted, unauthorized
from signaling.routes.context import Context
from signaling.routes.facts import FACTS, REQUEST_ID, UNNOTED, Facts

PATH_PARAMETER_PATTERN = r"^[A-Za-z0-9_\-]{1,128}$"  # ids and secrets of every kind
_PATH_PARAMETER = re.compile(PATH_PARAMETER_PATTERN.removesuffix("$") + r"\Z")

T = TypeVar("T", bound=msgspec.Struct)


def is_path_parameter(text: str) -> bool:
    """Whether this may stand in a path for an id: anything else is only what a caller made up."""
    return _PATH_PARAMETER.match(text) is not None


@dataclass(frozen=True, slots=True)
class TextBody:
    """A request body that is not JSON: its media type and most bytes."""

    media_type: str
    bytes_max: int


@dataclass(frozen=True, slots=True)
class BinaryBody:
    """A request body that is read in chunks: its media types and most bytes."""

    media_types: tuple[str, ...]
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Header:
    """A header field that an operation reads, or a reply carries."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A way in which an operation succeeds."""

    status: int
    description: str
    body: type[msgspec.Struct] | None = None
    media_type: str | None = None  # without `body`: the type of what is not JSON; None: no content
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `problems` are the codes, by status, of how it can fail by itself.

    What every operation can answer (401, 413, 500, ...) follows from `access` and `body`: see `failures`.
    Who may call it is said in signaling.routes.access.
    """

    method: str
    path: str
    id: str
    summary: str
    handler: "Callable[[ApiCall], Awaitable[web.StreamResponse]]"
    replies: tuple[Reply, ...]
    tag: str
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | TextBody | BinaryBody | None = None
    headers: tuple[Header, ...] = ()
    problems: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    speaks_in_headers: bool = False  # what is asked stands there, where no Idempotency-Key compares it
    confidential_path: bool = False  # the path itself is a secret and never logged

    @property
    def access(self) -> Access:
        """Who may call it."""
        return access_to(self.id)

    @property
    def is_repeatable(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        is_small = not isinstance(self.body, BinaryBody)
        is_compared = is_small and not self.speaks_in_headers
        return self.method == "POST" and self.access.scheme is Scheme.BEARER and is_compared

    @property
    def waits_for_audit(self) -> bool:
        """Whether it may be refused while the audit log fails: media of running recordings never is."""
        return self.id not in UNNOTED and self.access.scheme is not Scheme.ENTRY_POINT

    @property
    def path_parameters(self) -> list[str]:
        """The names between braces in the path."""
        return re.findall(r"{([a-z_]+)}", self.path)

    def failures(self) -> dict[int, tuple[str, ...]]:
        """Every documented problem code by status: its own, and those that its shape implies."""
        found: dict[int, set[str]] = {500: {"internal_error"}}
        for problems in (self.problems, *self._implied()):
            for status, codes in problems.items():
                found.setdefault(status, set()).update(codes)
        return {status: tuple(sorted(found[status])) for status in sorted(found)}

    def _implied(self) -> Iterable[Mapping[int, tuple[str, ...]]]:
        yield {429: ("too_many_requests",)}
        if self.waits_for_audit:
            yield {503: ("audit_unavailable",)}
        if self.is_repeatable:
            yield {400: ("invalid_idempotency_key", "malformed_body"), 408: ("body_too_slow",)}
            yield {409: ("request_in_progress",), 413: ("body_too_large",), 422: ("idempotency_key_reused",)}
        if self.access.scheme is not Scheme.PUBLIC:
            yield {401: ("unauthorized",)}
        if self.access.scheme in (Scheme.BEARER, Scheme.SESSION):
            yield {401: ("session_ended",), 403: ("csrf_token_wrong",)}
        if self.access.roles or self.access.scheme is Scheme.BEARER:
            yield {403: ("forbidden",)}
        if self.access.signed_link:
            yield {403: ("link_expired", "link_invalid")}
        if self.path_parameters:
            yield {404: ("not_found",)}
        if self.query is not None:
            yield {400: ("invalid_query",)}
        if self.body is not None:
            yield {400: ("malformed_body",), 408: ("body_too_slow",)}
            yield {413: ("body_too_large",), 415: ("unsupported_media_type",)}
        if isinstance(self.body, TextBody):
            yield {400: ("invalid_text",)}
        elif self.body is not None and not isinstance(self.body, BinaryBody):
            yield {400: ("invalid_json",), 422: ("invalid_body",)}


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request on its way through its operation; the caller has been let in."""

    operation: Operation
    request: web.Request
    context: Context
    granted: Granted

    @property
    def caller(self) -> Caller:
        """Whose token it is; 401 where a signed link or nothing at all let them in."""
        if self.granted.caller is None:
            raise unauthorized("This needs a token.")
        return self.granted.caller

    def tell(self, details: dict[str, str], *, target: str | None = None) -> None:
        """Add to what the audit log says of this request; no secrets."""
        self.request[FACTS].tell(details, target=target)

    def path(self, name: str) -> str:
        """A parameter of the path: letters, digits, - and _ only."""
        return self.request.match_info[name]

    def query(self, type_: type[T]) -> T:
        """The query string as the operation's declared type."""
        _same(type_, self.operation.query)
        return read_query(self.request.query, type_)

    async def body(self, type_: type[T]) -> T:
        """The JSON body as the operation's declared type."""
        _same(type_, self.operation.body)
        return await read_json(self.request, type_, bytes_max=JSON_BODY_BYTES_MAX)

    async def text(self) -> str:
        """The text body, of the operation's declared media type and within its bound."""
        body = self.operation.body
        if not isinstance(body, TextBody):
            raise TypeError(f"{self.operation.id} declares no text body")
        return await read_text(self.request, body.media_type, bytes_max=body.bytes_max)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, of the operation's declared media types and within its bound."""
        body = self.operation.body
        if not isinstance(body, BinaryBody):
            raise TypeError(f"{self.operation.id} declares no binary body")
        return chunks_of(self.request, body.media_types, bytes_max=body.bytes_max)


OPERATION = web.RequestKey("operation", Operation)


def _same(asked: object, declared: object) -> None:
    if asked is not declared:  # the table would say something else than the code does
        raise TypeError(f"the route table declares {declared}, the handler reads {asked}")


def mount(app: web.Application, operations: Iterable[Operation], context: Context) -> None:
    """Add a route for every operation."""
    for operation in operations:
        app.router.add_route(operation.method, operation.path, _endpoint(operation, context))


def _endpoint(
    operation: Operation, context: Context
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        request[OPERATION], request[FACTS] = operation, Facts()
        count(request, context)
        for name, value in request.match_info.items():
            if not is_path_parameter(value):
                raise not_found(name.replace("_", " "))
        granted = await admit(operation.access, request, context)
        request[FACTS].admitted(granted.caller, has_link=granted.links_until is not None)
        if operation.waits_for_audit:
            context.ports.audit.check()
        call = ApiCall(operation, request, context, granted)
        with span(operation.id, _attributes(operation, request), parent=_parent(call)):
            if granted.caller is None or not operation.is_repeatable:
                return await operation.handler(call)
            return await context.idempotency.once(request, granted.caller, lambda: operation.handler(call))

    return endpoint


def _attributes(operation: Operation, request: web.Request) -> dict[str, str]:
    """What a trace says of a request: what its path names, unless the path is a secret."""
    named = {} if operation.confidential_path else dict(request.match_info)
    told = {"http.request.method": operation.method, "http.route": operation.path, **named}
    return {**told, "request": request[REQUEST_ID]}


def _parent(call: ApiCall) -> str | None:
    """The trace that a holder of a key goes on with; strangers write into nobody's."""
    caller = call.granted.caller
    return call.request.headers.get("traceparent") if caller is not None and caller.is_api_key else None


def json_response(value: object, *, status: int = HTTPStatus.OK, location: str | None = None) -> web.Response:
    """A JSON answer that no cache keeps."""
    headers = {"Cache-Control": "no-store"}
    if location is not None:
        headers["Location"] = location
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )


LOCATION = Header("Location", "Where what was created is found.")


def created(value: object, location: str) -> web.Response:
    """201 with what was created."""
    return json_response(value, status=HTTPStatus.CREATED, location=location)
