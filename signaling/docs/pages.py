"""GET /openapi.json and GET /docs: the route table, for programs and for people."""

from collections.abc import Iterable, Sequence
from html import escape
from http import HTTPStatus
from itertools import groupby

import msgspec
from aiohttp import web

from signaling.docs import renderer
from signaling.docs.openapi import Json, openapi_document
from signaling.http.html import page
from signaling.routes.operation import ApiCall, Operation, Reply

_INDENT = 2
_TITLE = "Bystander API"


def operations(api: Sequence[Operation], *, version: str) -> tuple[Operation, ...]:
    """The operations that serve the documentation of `api` and of themselves."""

    async def openapi(call: ApiCall) -> web.Response:
        return web.Response(body=encoded, content_type="application/json")

    async def docs(call: ApiCall) -> web.Response:
        if rendered is None:
            return page(_TITLE, plain)
        return page(_TITLE, rendered, head=renderer.HEAD, policy=renderer.POLICY)

    own = (
        Operation(
            "GET",
            "/openapi.json",
            id="getOpenapi",
            summary="This API as an OpenAPI 3.1 document.",
            handler=openapi,
            replies=(Reply(200, "The document.", media_type="application/json"),),
            tag="service",
        ),
        Operation(
            "GET",
            "/docs",
            id="getDocs",
            summary="This API as a page.",
            handler=docs,
            replies=(Reply(200, "The page.", media_type="text/html"),),
            tag="service",
        ),
    )
    everything = (*api, *own)
    document = openapi_document(everything, version=version)
    encoded = _indented(document)
    plain = _plain(everything, document)
    rendered = _rendered(everything, document) if renderer.files() else None
    return own


def _rendered(everything: Sequence[Operation], document: Json) -> str:
    return f"{_head(document)}{renderer.BODY}<h2>Problems</h2>{_problems(everything)}"


def _head(document: Json) -> str:
    return (
        f"<h1>{_TITLE} <small>{escape(document['info']['version'])}</small></h1>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Everything under <code>/v1</code> '
        "wants <code>Authorization: Bearer &lt;API key&gt;</code>. Times are RFC 3339 in UTC, durations in "
        "seconds; errors are RFC 9457 problem documents with a stable <code>code</code>.</p>"
    )


def _plain(everything: Sequence[Operation], document: Json) -> str:
    by_tag = groupby(sorted(everything, key=lambda one: one.tag), key=lambda one: one.tag)
    sections = "".join(
        f"<h2>{escape(tag.capitalize())}</h2>{''.join(map(_operation, some))}" for tag, some in by_tag
    )
    types, problems = _types(document), _problems(everything)
    return f"{_head(document)}{sections}<h2>Types</h2>{types}<h2>Problems</h2>{problems}"


def _operation(operation: Operation) -> str:
    body = operation.body
    takes = "" if body is None else f"<p>Takes {_type_name(body)}.</p>"
    replies = "".join(_reply(reply) for reply in operation.replies)
    failures = "".join(
        f"<tr><td>{status}</td><td>{', '.join(_problem_link(code) for code in codes)}</td></tr>"
        for status, codes in operation.failures().items()
    )
    return (
        f'<details id="{operation.id}"><summary><span class="method">{operation.method}</span>'
        f'<span class="path">{escape(operation.path)}</span> '
        f'<span class="note">{escape(operation.summary)}</span></summary>'
        f"{takes}<table>{replies}{failures}</table></details>"
    )


def _reply(reply: Reply) -> str:
    content = _type_name(reply.body) if reply.body is not None else escape(reply.media_type or "")
    return f"<tr><td>{reply.status}</td><td>{escape(reply.description)} {content}</td></tr>"


def _type_name(body: object) -> str:
    if isinstance(body, type):
        return f'<a href="#type-{body.__name__}">{body.__name__}</a>'
    return f"<code>{escape(str(getattr(body, 'media_type', '')))}</code>"


def _types(document: Json) -> str:
    return "".join(
        f'<details id="type-{escape(name)}"><summary class="path">{escape(name)}</summary>'
        f"<pre>{escape(_indented(schema).decode())}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=_INDENT)


def _problems(everything: Iterable[Operation]) -> str:
    found = sorted(
        {
            (code, status)
            for operation in everything
            for status, codes in operation.failures().items()
            for code in codes
        }
    )
    rows = "".join(
        f'<tr id="problem-{code}"><td><code>{code}</code></td>'
        f"<td>{status} {HTTPStatus(status).phrase}</td></tr>"
        for code, status in found
    )
    return f"<table>{rows}</table>"


def _problem_link(code: str) -> str:
    return f'<a href="#problem-{code}"><code>{code}</code></a>'
