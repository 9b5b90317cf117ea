"""The store does not answer when a call is to be recorded."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.calls import begin, kept, nothing_beside, on_s3
from tests.support.api_client import ApiClient
from tests.support.s3_servers import rclone
from tests.support.server import running_server

PREFIX = "absent"
RECORDED_S = 3.0
DECISION_S_MAX = 30.0
RETRY_DELAY_S_MAX = 0.001  # far less than a store takes to be found unreachable

pytestmark = pytest.mark.faults


async def test_it_is_spooled_where_that_is_wanted(tmp_path: Path) -> None:
    """The recording begins, lasts and ends without a store; the object is there once the store is."""
    with rclone(tmp_path / "store") as store:
        store.kill()
        wanted = on_s3(store, PREFIX) | {"BYSTANDER_STORAGE__SPOOL_WHEN_UNREACHABLE": "true"}
        with running_server(tmp_path / "data", settings=wanted) as server:
            async with ApiClient(server) as api, AsyncExitStack() as stack:
                call = await begin(api, stack)
                await api.until_it(call.recording, lambda now: (now["duration_s"] or 0) >= RECORDED_S)
                assert (await api.stop(call.recording))["state"] == "FINALIZING"
                await asyncio.to_thread(store.start)
                over = await api.until(call.recording, "AVAILABLE", "FAILED")
                assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
        found = await kept(store, PREFIX, call.recording, tmp_path)
        assert found.duration_s >= RECORDED_S
        assert await nothing_beside(store, PREFIX)


@pytest.mark.parametrize(("mode", "decided"), [("ABORT", "ABORT"), ("RETRY", "RELEASE")])
async def test_the_call_is_decided_upon_at_once_and_nothing_is_tried_again(
    mode: str, decided: str, tmp_path: Path
) -> None:
    """Another call is decided upon after it, when another attempt would have begun long ago."""
    with rclone(tmp_path / "store") as store:
        store.kill()
        settings = on_s3(store, PREFIX) | {
            "BYSTANDER_RECORDING__FAILOVER_MODE": mode,
            "BYSTANDER_RECORDING__MAX_RETRY_DELAY_S": str(RETRY_DELAY_S_MAX),
        }
        with running_server(tmp_path / "data", settings=settings) as server:
            async with ApiClient(server) as api:
                path, last = await held_and_decided(api, decided)
                assert last["reason"] == ("store_unreachable" if mode == "ABORT" else "not_recorded")
                assert (last["may_start"], last["must_end"]) == (mode == "RETRY", mode == "ABORT")
                began_s = time.monotonic()
                await held_and_decided(api, decided)
                assert time.monotonic() - began_s > RETRY_DELAY_S_MAX
                recordings = (await api.call("GET", f"{path}/recordings"))["items"]
                assert await asyncio.to_thread(server.workers) == []
    (only,) = recordings
    assert (only["state"], only["end_reason"]) == ("FAILED", "ABORT_BLOBSTORE_FAILURE")


async def held_and_decided(api: ApiClient, kind: str) -> tuple[str, dict[str, Any]]:
    """A call that is held back until this is decided upon it: the path of its conversation, the decision."""
    path = f"/v1/conversations/{await api.conversation()}"
    begun = await api.call("POST", f"{path}/interactions", {"kind": "CALL"}, status=201)
    assert begun["state"] == "HELD"
    return path, await decision(api, path, kind)


async def decision(api: ApiClient, path: str, kind: str) -> dict[str, Any]:
    """The first decision of this kind."""
    after = 0
    async with asyncio.timeout(DECISION_S_MAX):
        while True:
            told = await api.call("GET", f"{path}/decisions?after={after}&wait_s=5")
            after = told["next_after"]
            for one in told["items"]:
                if one["kind"] == kind:
                    found: dict[str, Any] = one
                    return found
