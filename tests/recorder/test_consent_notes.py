"""Answers to being recorded, among the events of real workers' recordings, on both kinds of database."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.conversation import Participant, Role
from recorder.kernel.media import MediaEvent
from recorder.kernel.message import ConsentAnswer
from recorder.kernel.recording import Recording
from recorder.recording.events import Phase
from recorder.services.conversation.consent import Consents
from signaling.ports import Caller
from storage.spool import SpoolReader
from storage.stores.memory import MemoryStore
from tests.recorder.node import STATE_S_MAX, Node, open_node, settings_for

AGREED, REFUSED = ConsentAnswer.AGREED, ConsentAnswer.REFUSED
GIVEN, TAKEN_BACK = ("consent_given", "Ada"), ("consent_refused", "Ada")


class Asked:
    """A node on which people are asked, and a recording that waits for media."""

    def __init__(self, tmp_path: Path, database_url: str) -> None:
        self._tmp_path = tmp_path
        self._database_url = database_url
        self._store = MemoryStore()
        self.node: Node
        self.consents: Consents
        self.recording: Recording
        self.ada: Participant

    async def open(self, stack: AsyncExitStack) -> None:
        """Begin to serve; once more after `killed` for the server that follows."""
        settings = settings_for(
            self._tmp_path, database_url=self._database_url, after_interruption="continue"
        )
        self.node = node = await open_node(self._tmp_path, stack, self._store, settings)
        self.consents = node.consents

    async def begin(self) -> None:
        self.recording = await self.node.start()
        conversation = self.recording.conversation
        self.ada = await self.node.conversations.add_participant(conversation, role=Role.AGENT, name="Ada")

    async def answer(self, answer: ConsentAnswer) -> None:
        await self.consents.answer(Caller(self.ada), self.recording.conversation, self.ada.id, answer)

    async def noted(self, count: int) -> list[MediaEvent]:
        """The answers in the recording's events, once there are so many."""
        async with asyncio.timeout(STATE_S_MAX):
            while len(found := await asyncio.to_thread(self._events)) < count:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.01)
        return found

    def _events(self) -> list[MediaEvent]:
        reader = SpoolReader.open(self._tmp_path / "spool", self.recording.id)
        events = [msgspec.json.decode(line, type=MediaEvent) for line in reader.events().splitlines()]
        reader.close()
        return [event for event in events if event.kind.startswith("consent_")]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def asked(tmp_path: Path, stack: AsyncExitStack, migrated_url: str) -> Asked:
    made = Asked(tmp_path, migrated_url)
    await made.open(stack)
    await made.begin()
    return made


def told(events: list[MediaEvent]) -> list[tuple[str, str | None]]:
    return [(event.kind, event.name) for event in events]


async def test_what_was_answered_before_stands_at_the_beginning(asked: Asked) -> None:
    await asked.answer(REFUSED)
    await asked.answer(AGREED)
    await asked.node.publish(asked.recording)
    (event,) = await asked.noted(1)
    assert told([event]) == [GIVEN]
    assert (event.participant, event.role) == (asked.ada.id, Role.AGENT)
    assert "answered_at" in event.detail


async def test_every_answer_while_it_runs(asked: Asked) -> None:
    await asked.node.publish(asked.recording)
    await asked.node.until(asked.recording.id, "RECORDING")
    for answer in (AGREED, REFUSED, AGREED):
        await asked.answer(answer)
    assert told(await asked.noted(3)) == [GIVEN, TAKEN_BACK, GIVEN]


async def test_the_next_server_repeats_none_and_goes_on(asked: Asked, stack: AsyncExitStack) -> None:
    await asked.answer(AGREED)
    await asked.node.publish(asked.recording)
    await asked.noted(1)
    await asked.node.killed()
    await asked.open(stack)
    await asked.node.publish(asked.recording)  # it grows, and is seen to go on
    await asked.answer(REFUSED)
    assert told(await asked.noted(2)) == [GIVEN, TAKEN_BACK]


async def test_the_next_worker_repeats_none_and_goes_on(asked: Asked) -> None:
    await asked.answer(AGREED)
    await asked.node.publish(asked.recording)
    await asked.noted(1)
    (worker,) = asked.node.workers
    os.kill(worker.pid, signal.SIGKILL)
    await asked.node.until(asked.recording.id, "INTERRUPTED")
    await asked.answer(REFUSED)  # no worker hears it
    await asked.node.registry.live(asked.recording.id).until(lambda phase: phase is Phase.RESUMING)
    await asked.node.publish(asked.recording, who="p2")
    assert told(await asked.noted(2)) == [GIVEN, TAKEN_BACK]


async def test_an_answer_counts_where_its_worker_does_not_take_it(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked.node.publish(asked.recording)
    await asked.node.until(asked.recording.id, "RECORDING")
    monkeypatch.setattr("recorder.worker_pool.worker.NOTE_TIMEOUT_S", 0.0)
    await asked.answer(AGREED)
    (given,) = await asked.consents.list(asked.recording.conversation)
    assert given.answer is AGREED
