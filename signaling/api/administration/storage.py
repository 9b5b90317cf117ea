"""/v1/storage and /v1/capacity: the store as it is set, its test step by step, what the machine has left."""

import asyncio

import msgspec
from aiohttp import web

from signaling.api.administration.service import StorageTestOptions, StorageTestQuery
from signaling.console_port import Capacity, StorageOverview, StorageStep
from signaling.http.streams import write
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

STALL_S_MAX = 30.0
_TAG = "service"


async def get(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.console.storage())


async def capacity(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.console.capacity())


async def follow_test(call: ApiCall) -> web.StreamResponse:
    """A step is told when it is over, and in the end the outcome."""
    await call.body(StorageTestOptions)
    store, console = call.query(StorageTestQuery).store, call.context.ports.console
    console.check_store(store)  # before the answer begins
    call.tell({"store": store})
    steps: asyncio.Queue[StorageStep | None] = asyncio.Queue()  # a test has some ten steps
    testing = asyncio.create_task(console.test_storage(steps.put_nowait, store=store))
    testing.add_done_callback(lambda _: steps.put_nowait(None))
    response = web.StreamResponse(
        headers={"Cache-Control": "no-store", "Content-Type": "text/event-stream; charset=utf-8"}
    )
    try:
        await response.prepare(call.request)
        while (step := await steps.get()) is not None:
            await write(response, _event(b"step", msgspec.json.encode(step)), stall_s_max=STALL_S_MAX)
        outcome = await testing
        await write(response, _event(b"outcome", msgspec.json.encode(outcome)), stall_s_max=STALL_S_MAX)
    finally:
        testing.cancel()  # nothing where it is over; who went away waits for no verdict
    return response


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name, data)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/storage",
        id="getStorage",
        summary="How each store is set, without secrets, and what its last test found.",
        handler=get,
        replies=(Reply(200, "The stores.", StorageOverview),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        "/v1/storage/test/steps",
        id="followStorageTest",
        summary="Try a store of the settings: events `step`, each when it is over, and `outcome`.",
        handler=follow_test,
        replies=(Reply(200, "Events.", media_type="text/event-stream"),),
        query=StorageTestQuery,
        body=StorageTestOptions,
        problems={404: ("not_found",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/capacity",
        id="getCapacity",
        summary="How much this server does, and how much it could.",
        handler=capacity,
        replies=(Reply(200, "As it is now.", Capacity),),
        tag=_TAG,
    ),
)
