"""The OpenAPI 3.1 document: made from the route table and the msgspec types, nothing kept by hand."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from signaling.docs.examples import EXAMPLES
from signaling.http.idempotency import HEADER
from signaling.http.problems import MEDIA_TYPE, Problem
from signaling.http.session_cookie import SECURE_COOKIE
from signaling.routes.access import Scheme
from signaling.routes.operation import PATH_PARAMETER_PATTERN, BinaryBody, Header, Operation, Reply, TextBody

_REF = "#/components/schemas/{name}"
_TEXT = {"type": "string"}

_IDEMPOTENCY_KEY = Header(HEADER, "The same key, path and body get the same answer for 24 h.")

Json = dict[str, Any]


def openapi_document(operations: Sequence[Operation], *, version: str) -> Json:
    """Describe every operation; `version` is the server's."""
    structs = _structs(operations)
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REF)
    schema_of = dict(zip(structs, schemas, strict=True))
    for operation in operations:
        if operation.query is not None:
            components.pop(operation.query.__name__, None)  # its fields stand as parameters instead
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bystander",
            "version": version,
            "summary": "Records WebRTC conversations.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


_SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a participant's token."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": "Whoever signed in to the console; what changes something also needs X-CSRF-Token.",
    },
    "entryPoint": {"type": "http", "scheme": "bearer", "description": "The token of the entry point."},
    "signedLink": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "As in a recording's links, together with `expires`.",
    },
}


def _structs(operations: Iterable[Operation]) -> list[type[msgspec.Struct]]:
    found: dict[type[msgspec.Struct], None] = {Problem: None}  # a dict keeps the order and drops repetitions
    for operation in operations:
        bodies = [reply.body for reply in operation.replies]
        for candidate in (operation.query, operation.body, *bodies):
            if isinstance(candidate, type):
                found[candidate] = None
    return list(found)


def _operation(operation: Operation, schema_of: dict[type[msgspec.Struct], Json]) -> Json:
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": _who_may(operation),
        "tags": [operation.tag],
        "security": _security(operation),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schema_of),
    }
    if isinstance(operation.body, TextBody):
        described["requestBody"] = {
            "required": True,
            "content": {operation.body.media_type: {"schema": _TEXT}},
        }
    elif isinstance(operation.body, BinaryBody):
        described["requestBody"] = {
            "required": True,
            "content": {media_type: {} for media_type in operation.body.media_types},
        }
    elif operation.body is not None:
        schema = schema_of[operation.body]
        required = bool(msgspec.structs.fields(operation.body)) and any(
            field.required for field in msgspec.structs.fields(operation.body)
        )
        content = {"schema": schema, "example": EXAMPLES[operation.id]}
        described["requestBody"] = {"required": required, "content": {"application/json": content}}
    return described


def _who_may(operation: Operation) -> str:
    access = operation.access
    if access.scheme is Scheme.PUBLIC:
        return "Anybody may call this."
    if access.scheme is Scheme.ENTRY_POINT:
        return "Whoever has the entry point's URL and token may call this."
    if access.scheme is Scheme.SESSION:
        return "Whoever has signed in to the console may call this."
    roles = ", ".join(sorted(access.roles))
    told = f"An API key with the scope `{access.scope}` may call this."
    if roles:
        told = told[:-1] + f", and {roles} in their own conversation"
        told += ", as far as `recording.visible_to` names them." if access.if_visible else "."
    return told + (" A signed link will do." if access.signed_link else "")


def _security(operation: Operation) -> list[Json]:
    access = operation.access
    if access.scheme is Scheme.PUBLIC:
        return []
    if access.scheme is Scheme.ENTRY_POINT:
        return [{"entryPoint": []}]
    if access.scheme is Scheme.SESSION:
        return [{"session": []}]
    return [{"bearer": []}, *([{"signedLink": []}] if access.signed_link else [])]


def _parameters(operation: Operation) -> list[Json]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": PATH_PARAMETER_PATTERN},
        }
        for name in operation.path_parameters
    ]
    if operation.query is not None:
        parameters += _query_parameters(operation.query)
    parameters += [
        {"name": header.name, "in": "header", "description": header.description, "schema": _TEXT}
        for header in (*operation.headers, *((_IDEMPOTENCY_KEY,) if operation.is_repeatable else ()))
    ]
    return parameters


def _query_parameters(query: type[msgspec.Struct]) -> list[Json]:
    (_,), components = msgspec.json.schema_components([query], ref_template=_REF)
    schema = components[query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _responses(operation: Operation, schema_of: dict[type[msgspec.Struct], Json]) -> Json:
    responses = {str(reply.status): _reply(reply, schema_of) for reply in operation.replies}
    for status, codes in operation.failures().items():
        described = f"{HTTPStatus(status).phrase}: {', '.join(codes)}."
        responses.setdefault(str(status), _problem(described, schema_of, operation.method))
    responses["default"] = _problem("Any other problem.", schema_of, operation.method)
    return responses


def _reply(reply: Reply, schema_of: dict[type[msgspec.Struct], Json]) -> Json:
    described: Json = {"description": reply.description}
    if reply.body is not None:
        described["content"] = {"application/json": {"schema": schema_of[reply.body]}}
    elif reply.media_type is not None:
        described["content"] = {reply.media_type: {}}
    if reply.headers:
        described["headers"] = {header.name: _header(header) for header in reply.headers}
    return described


def _header(header: Header) -> Json:
    return {"description": header.description, "schema": _TEXT}


def _problem(description: str, schema_of: dict[type[msgspec.Struct], Json], method: str) -> Json:
    described: Json = {"description": description}
    if method != "HEAD":
        described["content"] = {MEDIA_TYPE: {"schema": schema_of[Problem]}}
    return described
