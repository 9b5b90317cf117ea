"""The server's own state: health, metrics, the storage test."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from signaling.routes.operation import ApiCall, Operation, Reply, json_response

READY_S_MAX = 5.0  # a probe that waits longer than this counts as failed with most orchestrators
STORE_NAME_CHARS_MAX = 128
_TAG = "service"


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether new recordings can be taken, and each thing that this depends on."""

    ready: bool
    dependencies: dict[str, bool]


class StorageTestQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which store of the settings is tried, by name."""

    store: Annotated[str, msgspec.Meta(max_length=STORE_NAME_CHARS_MAX)] = "default"


class StorageTestOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing: which store it is stands in the query."""


class StorageTestStep(msgspec.Struct, frozen=True):
    """One thing that was tried on the store."""

    name: str
    ok: bool
    seconds: float
    detail: str
    warning: bool = False  # it can be used, and yet `detail` should be looked at


class StorageTest(msgspec.Struct, frozen=True):
    """What became of the test; it passed when every step did."""

    ok: bool
    steps: list[StorageTestStep]


async def healthz(call: ApiCall) -> web.Response:
    return json_response(Alive("ok"))


async def readyz(call: ApiCall) -> web.Response:
    try:
        async with asyncio.timeout(READY_S_MAX):
            dependencies = await call.context.ports.health.ready()
    except TimeoutError:
        dependencies = {"answered_in_time": False}
    ready = all(dependencies.values())
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return json_response(Readiness(ready, dependencies), status=status)


async def metrics(call: ApiCall) -> web.Response:
    encode, content_type = choose_encoder(call.request.headers.get("Accept", ""))
    text: Any = encode(call.context.registry)
    return web.Response(body=text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


async def test_storage(call: ApiCall) -> web.Response:
    await call.body(StorageTestOptions)
    store = call.query(StorageTestQuery).store
    call.tell({"store": store})
    outcome = await call.context.ports.storage.test(store=store)
    return json_response(msgspec.convert(outcome, StorageTest))


OPERATIONS = (
    Operation(
        "POST",
        "/v1/storage/test",
        id="testStorage",
        summary="Try a store of the settings: write, read, delete.",
        handler=test_storage,
        replies=(Reply(200, "What was tried, and what became of it.", StorageTest),),
        query=StorageTestQuery,
        body=StorageTestOptions,
        problems={404: ("not_found",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/healthz",
        id="getHealth",
        summary="Whether the process answers.",
        handler=healthz,
        replies=(Reply(200, "It does.", Alive),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/readyz",
        id="getReadiness",
        summary="Whether new recordings can be taken.",
        handler=readyz,
        replies=(Reply(200, "They can.", Readiness), Reply(503, "They cannot; see which.", Readiness)),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/metrics",
        id="getMetrics",
        summary="Metrics for Prometheus.",
        handler=metrics,
        replies=(Reply(200, "In the format that Accept asks for.", media_type="text/plain"),),
        tag=_TAG,
    ),
)
