"""Server-sent events of a recording, read off the wire as a browser would."""

import asyncio
import json
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import ClientResponse

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.permissions import KeyScope
from recorder.kernel.recording import RecordingState
from signaling.api.recording import events as api_events
from signaling.api.recording.events import beating
from signaling.http.signed_links import LINK_LIFETIME_S, LINK_ROUNDING_S
from signaling.http.streams import Admission
from signaling.ports import Caller
from tests.support.fake_ports import FakeServer
from tests.support.http import Served, bearer, local, problem, serve

FINALLY_S = 5


async def block(stream: ClientResponse) -> dict[str, str]:
    """The fields of the next event; a comment stands under ""."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(FINALLY_S):
        while line := (await stream.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name.rstrip(":")] = value
    return fields


async def event(stream: ClientResponse) -> dict[str, Any]:
    fields = await block(stream)
    assert fields["event"] == "recording"
    return dict(json.loads(fields["data"]))


class TestStream:
    async def test_it_begins_with_now_and_ends_with_the_last_state(self, served: Served) -> None:
        made = await served.recording()
        stream = await served.client.get(f"/v1/recordings/{made['id']}/events", headers=served.key)
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert (await event(stream))["state"] == "READY"
        await served.fake.change(made["id"], state=RecordingState.RECORDING)
        assert (await event(stream))["state"] == "RECORDING"
        await served.fake.finish(made["id"])
        last = await event(stream)
        assert (last["state"], last["links"]["self"]) == ("AVAILABLE", made["links"]["self"])
        assert await asyncio.wait_for(stream.content.read(), FINALLY_S) == b""
        assert served.fake.watchers == 0

    async def test_other_recordings_of_the_conversation_are_not_told(self, served: Served) -> None:
        conversation = await served.conversation()
        mine, other = await served.recording(conversation), await served.recording(conversation)
        stream = await served.client.get(f"/v1/recordings/{mine['id']}/events", headers=served.key)
        await event(stream)
        await served.fake.finish(other["id"])
        await served.fake.finish(mine["id"])
        assert (await event(stream))["id"] == mine["id"]

    async def test_a_browser_that_saw_the_end_is_told_to_stay_away(self, served: Served) -> None:
        made = await served.recording()
        path = f"/v1/recordings/{made['id']}/events"
        await served.fake.finish(made["id"])
        stream = await served.client.get(path, headers=served.key)
        seen = (await block(stream))["id"]
        again = await served.client.get(path, headers=served.key | {"Last-Event-ID": seen})
        assert (again.status, await again.read()) == (204, b"")

    async def test_a_signed_link_opens_it_and_shows_no_secret(self, served: Served) -> None:
        made = await served.recording()
        stream = await served.client.get(local(made["links"]["events"]))
        seen = await event(stream)
        assert seen["entry_point"] is None
        assert seen["links"]["events"] == made["links"]["events"]  # not prolonged by itself
        stream.close()

    async def test_when_the_caller_leaves_nothing_is_left(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_events, "KEEPALIVE_S", 0.01)
        made = await served.recording()
        stream = await served.client.get(f"/v1/recordings/{made['id']}/events", headers=served.key)
        await event(stream)
        assert "" in await block(stream)  # a comment in silence
        stream.close()
        async with asyncio.timeout(FINALLY_S):
            await served.fake.unwatched.wait()

    async def test_an_unknown_recording(self, served: Served) -> None:
        await problem(await served.client.get("/v1/recordings/rec_none/events", headers=served.key), 404)

    async def test_a_closing_server_ends_every_stream(self) -> None:
        async with serve() as served:
            made = await served.recording()
            stream = await served.client.get(f"/v1/recordings/{made['id']}/events", headers=served.key)
            await event(stream)
            async with asyncio.timeout(FINALLY_S):
                await served.client.app.shutdown()
                assert await stream.content.read() == b""


class TestBeating:
    async def test_silence_beats_and_changes_pass(self) -> None:
        gate = asyncio.Event()

        async def watching() -> Any:
            yield "one"
            await gate.wait()
            yield "two"

        seen: list[Any] = []
        async for one in beating(watching(), asyncio.Event(), keepalive_s=0.001):
            seen.append(one)
            if one is None:
                gate.set()
        assert (seen[0], seen[-1]) == ("one", "two")
        assert None in seen

    async def test_an_error_of_the_watch_comes_out(self) -> None:
        async def watching() -> Any:
            yield "one"
            raise RuntimeError("lost")

        with pytest.raises(RuntimeError, match="lost"):
            async for _ in beating(watching(), asyncio.Event(), keepalive_s=1):
                pass


def test_one_more_than_the_places_is_refused() -> None:
    admission = Admission(1)
    with admission.admit():
        with pytest.raises(Exception, match="too_many_streams"), admission.admit():
            pass
        assert admission.taken == 1
    assert admission.taken == 0


class TestWhoIsLetIn:
    async def test_a_stream_ends_with_the_key_that_opened_it(self, served: Served) -> None:
        made = await served.recording()
        issued = await served.fake.ports.keys.create(
            Caller(), name="k", account=None, scopes=[KeyScope.RECORDINGS_READ], expires_at=None
        )
        path = f"/v1/recordings/{made['id']}/events"
        stream = await served.client.get(path, headers=bearer(issued.secret))
        assert (await event(stream))["state"] == "READY"
        await served.fake.ports.keys.revoke(Caller(), issued.id)
        await served.fake.change(made["id"], state=RecordingState.RECORDING)
        assert await asyncio.wait_for(stream.content.read(), FINALLY_S) == b""

    async def test_a_stream_ends_with_the_link_that_opened_it(self) -> None:
        clock = ManualClock()
        async with serve(FakeServer(clock)) as served:
            made = await served.recording()
            stream = await served.client.get(local(made["links"]["events"]))
            await event(stream)
            clock.advance(LINK_LIFETIME_S + LINK_ROUNDING_S)
            await served.fake.change(made["id"], state=RecordingState.RECORDING)
            assert await asyncio.wait_for(stream.content.read(), FINALLY_S) == b""


def test_nobodys_share_fills_the_others() -> None:
    admission = Admission(5, {"conversation": 3, "participant": 2})
    with ExitStack() as stack:
        for who in ("ann", "ann", "bob"):
            stack.enter_context(admission.admit({"conversation": "one", "participant": who}))
        for full in ({"participant": "ann"}, {"conversation": "one", "participant": "eve"}):
            with pytest.raises(BystanderError) as refused:
                stack.enter_context(admission.admit(full))
            assert (refused.value.code, refused.value.status) == ("too_many_streams", 429)
        for _ in range(2):
            stack.enter_context(admission.admit({"conversation": "two", "participant": None}))
        with pytest.raises(BystanderError) as refused:
            stack.enter_context(admission.admit({"conversation": "three"}))
        assert refused.value.status == 503
    with admission.admit({"conversation": "one", "participant": "ann"}):
        assert admission.taken == 1
