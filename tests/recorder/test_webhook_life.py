"""Real recordings and held calls, as a receiver of webhooks sees them, on both databases."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import InteractionKind
from recorder.kernel.recording import Recording
from recorder.settings.definitions import ServerSettings, WebhookSettings
from recorder.webhooks.service import WebhookService
from signaling.ports import Caller
from storage.errors import UNREACHABLE
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node, settings_for
from tests.support.fake_workers import FRAGMENT_BYTES
from tests.support.receiver import Receiver, receiver

BASE_URL = "https://bystander.example"


@dataclass
class Told:
    """A node, its store, and somebody who is told of everything."""

    node: Node
    store: MemoryStore
    there: Receiver

    async def types(self, count: int) -> list[str]:
        """The types of the first events, once so many have come."""
        await self.there.until(lambda: len(self.there.received) >= count)
        return [one.json["type"] for one in self.there.received]

    def data(self, index: int) -> Any:
        return self.there.received[index].json["data"]


@pytest.fixture
async def told(tmp_path: Path, database_url: str) -> AsyncIterator[Told]:
    settings = msgspec.structs.replace(
        settings_for(tmp_path), server=ServerSettings(database_url=database_url)
    )
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, store, settings)
        webhooks = await WebhookService.open(
            node.database,
            WebhookSettings(allow_private_networks=True),
            SystemClock(),
            stack,
            node.metrics,
            base_url=BASE_URL,
        )
        webhooks.delivery.start()
        stack.push_async_callback(webhooks.delivery.stop)
        there = await stack.enter_async_context(receiver())
        await webhooks.registrations.create(account=None, url=there.url, events=[], description=None)
        yield Told(node, store, there)


async def recorded(node: Node) -> Recording:
    started = await node.start()
    await node.publish(started)
    await node.until(started.id, "RECORDING")
    await node.recordings.stop(started.id, stopped_by=Caller())
    return await node.until(started.id, "AVAILABLE")


async def test_a_recording_is_told_from_its_start_to_its_object(told: Told) -> None:
    over = await recorded(told.node)
    assert await told.types(2) == ["recording.started", "recording.available"]
    started, available = told.data(0)["recording"], told.data(1)["recording"]
    assert (started["id"], started["state"], started["ended_at"]) == (over.id, "RECORDING", None)
    assert (available["id"], available["state"]) == (over.id, "AVAILABLE")
    assert (available["bytes"], available["duration_s"]) == (2 * FRAGMENT_BYTES, 1.0)
    assert (available["end_reason"], available["attempts"]) == ("NORMAL", 1)
    assert available["mime_type"] == "video/mp4"
    taken = told.node.metrics.get_sample_value("bystander_webhook_attempts_total", {"outcome": "taken"})
    assert taken is not None
    assert taken >= 1  # the second answer may not be written down yet
    assert available["links"]["media"] == f"{BASE_URL}/v1/recordings/{over.id}/media"


async def test_a_call_that_has_to_wait_is_held_and_released(told: Told) -> None:
    conversation = await told.node.conversation()
    await told.node.conversations.start_interaction(conversation.id, kind=InteractionKind.CALL, layer=None)
    assert (await told.types(2))[:2] == ["interaction.hold", "interaction.release"]
    held, released = told.data(0), told.data(1)
    assert held["interaction"]["id"] == released["interaction"]["id"]
    assert held["interaction"]["state"] == "HELD"
    assert released["interaction"]["state"] == "RUNNING"
    assert held["conversation"]["id"] == conversation.id


async def test_a_recording_that_cannot_start_is_told_as_failed(told: Told) -> None:
    told.store.faults.outage = UNREACHABLE
    conversation = await told.node.conversation()
    await told.node.conversations.start_interaction(conversation.id, kind=InteractionKind.CALL, layer=None)
    types = await told.types(3)
    assert types[0] == "interaction.hold"
    assert {"recording.failed", "interaction.release"} <= set(types)
    failed = next(one for one in told.there.received if one.json["type"] == "recording.failed")
    assert failed.json["data"]["recording"]["failure"] == "store_unreachable"
