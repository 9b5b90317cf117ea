"""What begins in a conversation and what becomes of it: on real processes and both kinds of database."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select

from recorder.database.messages import MessageTable
from recorder.database.webhook_schema import webhook_events, webhooks
from recorder.kernel.conversation import (
    Conversation,
    Decision,
    DecisionKind,
    Interaction,
    InteractionKind,
    InteractionState,
    LayerKind,
    Participant,
    Role,
)
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Publisher, SourceKind
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import FailoverMode, Recording, RecordingState, StartMode, TriggeringMode
from recorder.supervision.state_machine import decoded
from signaling.ports import Caller
from storage.errors import UNREACHABLE
from storage.stores.memory import MemoryStore
from tests.recorder.node import STATE_S_MAX, Node, open_node, settings_for

CALL, LAYER = InteractionKind.CALL, InteractionKind.COLLABORATION_LAYER
HOLD, RELEASE, ABORT = DecisionKind.HOLD, DecisionKind.RELEASE, DecisionKind.ABORT
ASYNCHRONOUS = {"start_mode": StartMode.ASYNCHRONOUS}
ABORTING = {"failover_mode": FailoverMode.ABORT}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


class Scene:
    """A conversation on a node, and what its call service is told."""

    def __init__(self, node: Node, conversation: Conversation) -> None:
        self.node = node
        self.conversation = conversation.id
        self.heard: list[Decision] = []

    async def begin(self, kind: InteractionKind = CALL, **more: Any) -> Interaction:
        more.setdefault("layer", None)
        return await self.node.conversations.start_interaction(self.conversation, kind=kind, **more)

    async def end(self, interaction: Interaction) -> Interaction:
        return await self.node.conversations.end_interaction(self.conversation, interaction.id)

    async def told(self, count: int) -> list[tuple[DecisionKind, str | None]]:
        """The first `count` decisions, as (kind, reason)."""
        async with asyncio.timeout(STATE_S_MAX):
            while len(self.heard) < count:
                after = self.heard[-1].sequence if self.heard else 0
                self.heard += await self.node.decisions.list(self.conversation, after=after, wait_s=5.0)
        return [(one.kind, one.reason) for one in self.heard]

    async def recordings(self) -> list[Recording]:
        return await self.node.recordings.list(self.conversation)

    async def recorded(self, number: int = 1, *states: str) -> Recording:
        """The conversation's recording of this number, once it is in one of these states."""
        async with asyncio.timeout(STATE_S_MAX):
            async for _ in self.node.recordings.watch(self.conversation):
                found = await self.recordings()
                if len(found) >= number and found[number - 1].state in (states or ("READY", "RECORDING")):
                    return found[number - 1]
        raise AssertionError("a watch does not end")

    async def attempted(self, count: int) -> str:
        """The conversation's first recording, once so many attempts count in its entry."""
        (first, *_) = await self.recordings()
        async with asyncio.timeout(STATE_S_MAX):
            while len(await self.node.table.attempts(first.id)) < count:  # noqa: ASYNC110 - counted, not told
                await asyncio.sleep(0.02)
        return first.id

    async def settled(self) -> None:
        """Wait until no recording is on its way any more."""
        async with asyncio.timeout(STATE_S_MAX):
            while list(self.node.registry):  # noqa: ASYNC110 - that a recording has left is told to nobody
                await asyncio.sleep(0.02)


class Stage:
    """Where nodes are opened one after the other, on the same database, spool and store."""

    def __init__(self, tmp_path: Path, stack: AsyncExitStack, database_url: str) -> None:
        self.store = MemoryStore()
        self._tmp_path = tmp_path
        self._stack = stack
        self._database_url = database_url

    async def node(self, **settings: Any) -> Node:
        settled = settings_for(self._tmp_path, database_url=self._database_url, **settings)
        return await open_node(self._tmp_path, self._stack, self.store, settled)

    async def scene(self, **settings: Any) -> Scene:
        """A conversation on a node with such settings."""
        node = await self.node(**settings)
        return Scene(node, await node.conversation())


@pytest.fixture
def stage(tmp_path: Path, stack: AsyncExitStack, migrated_url: str) -> Stage:
    return Stage(tmp_path, stack, migrated_url)


@pytest.fixture
async def scene(stage: Stage) -> Scene:
    return await stage.scene()


async def listen(node: Node) -> None:
    """Have a webhook that wants everything."""
    now = node.dependencies.clock.utc_now()
    hook = {"id": "wh_1", "url": "https://example.org", "events": [], "secret": "s", "created_at": now}
    async with node.database.writing() as connection:
        await connection.execute(insert(webhooks).values(hook))


async def heard_by_webhooks(node: Node) -> list[str]:
    """The types of all events that webhooks are told, in their order."""
    query = select(webhook_events.c.type).order_by(webhook_events.c.sequence)
    async with node.database.reading() as connection:
        return list((await connection.execute(query)).scalars())


async def worker_pid(node: Node) -> int:
    """The only worker's, once it was launched."""
    async with asyncio.timeout(STATE_S_MAX):
        while not len(node.workers):  # noqa: ASYNC110 - a launch announces itself to nobody but its recording
            await asyncio.sleep(0.01)
    (worker,) = node.workers
    return worker.pid


class TestStarting:
    async def test_a_call_is_held_until_it_can_be_recorded(self, scene: Scene) -> None:
        call = await scene.begin()
        assert (call.state, call.recorded) == (InteractionState.HELD, True)
        assert await scene.told(2) == [(HOLD, None), (RELEASE, None)]
        recording = await scene.recorded()
        assert {one.recording for one in scene.heard} == {recording.id}
        await scene.node.publish(recording)
        ended = await scene.end(call)
        assert ended.state is InteractionState.ENDED
        assert (await scene.recorded(1, "AVAILABLE")).end_reason == "NORMAL"

    async def test_asynchronous_lets_it_start(self, stage: Stage) -> None:
        scene = await stage.scene(**ASYNCHRONOUS)
        assert (await scene.begin()).state is InteractionState.RUNNING
        await scene.recorded()
        assert await scene.node.decisions.list(scene.conversation, after=0, wait_s=0) == []

    async def test_what_has_ended_needs_no_recording(self, scene: Scene) -> None:
        await scene.end(await scene.begin())
        assert (await scene.recorded(1, "FAILED", "FINALIZING")).end_reason == "NORMAL"

    async def test_nothing_begins_where_nothing_may(self, stage: Stage) -> None:
        scene = await stage.scene(enabled=False)
        call = await scene.begin()
        assert (call.state, call.recorded) == (InteractionState.RUNNING, False)
        assert await scene.recordings() == []

    async def test_ending_twice_is_the_same_as_once(self, scene: Scene) -> None:
        call = await scene.begin()
        assert await scene.end(call) == await scene.end(call)
        with pytest.raises(BystanderError, match="not_found"):
            await scene.node.conversations.end_interaction(scene.conversation, "int_none")

    async def test_a_call_of_the_room_is_not_for_participants_to_end(self, scene: Scene) -> None:
        call = await scene.begin(owner="room")
        agent = await scene.node.conversations.add_participant(
            scene.conversation, role=Role.AGENT, name="Ann"
        )
        by_agent = Caller(participant=agent)
        with pytest.raises(BystanderError, match="forbidden"):
            await scene.node.conversations.end_interaction(scene.conversation, call.id, ended_by=by_agent)
        assert (await scene.end(call)).ended_at is not None

    async def test_a_conversation_that_ended_takes_no_more(self, scene: Scene) -> None:
        await scene.begin()
        await scene.node.conversations.end(scene.conversation)
        await scene.recorded(1, "FAILED", "AVAILABLE")
        with pytest.raises(BystanderError, match="conversation_ended"):
            await scene.begin()

    async def test_the_same_call_is_found_again_by_its_owner(self, scene: Scene) -> None:
        first, again = [await scene.begin(owner="call") for _ in range(2)]
        assert first.id == again.id
        await scene.end(first)
        assert (await scene.begin(owner="call")).id != first.id


class TestByHand:
    async def test_holds_nothing_and_ends_with_the_last_interaction(self, stage: Stage) -> None:
        scene = await stage.scene(triggering_mode=TriggeringMode.MANUAL)
        call = await scene.begin()
        assert (call.state, await scene.recordings()) == (InteractionState.RUNNING, [])
        started = await scene.node.recordings.start(scene.conversation, started_by=Caller())
        await scene.node.publish(started)
        await scene.end(call)
        await scene.recorded(1, "AVAILABLE")
        assert await scene.node.decisions.list(scene.conversation, after=0, wait_s=0) == []

    async def test_only_for_roles_that_may(self, stage: Stage) -> None:
        scene = await stage.scene(allow_manual=[Role.SUPERVISOR])
        for role in (Role.AGENT, Role.VISITOR):
            person = Participant(id="part_1", conversation=scene.conversation, role=role, name="Ada")
            with pytest.raises(BystanderError, match="forbidden"):
                await scene.node.recordings.start(scene.conversation, started_by=Caller(person))

    async def test_stopped_by_hand_stays_stopped(self, scene: Scene) -> None:
        await scene.begin()
        recording = await scene.recorded()
        await scene.node.publish(recording)
        await scene.node.recordings.stop(recording.id, stopped_by=Caller())
        await scene.recorded(1, "AVAILABLE")
        assert len(await scene.recordings()) == 1

    async def test_what_started_by_itself_is_not_for_agents_to_stop(self, stage: Stage) -> None:
        scene = await stage.scene(allow_manual=[], **ABORTING)
        agent = Participant(id="part_1", conversation=scene.conversation, role=Role.AGENT, name="Ada")
        await scene.begin()
        recording = await scene.recorded()
        with pytest.raises(BystanderError, match="forbidden"):
            await scene.node.recordings.stop(recording.id, stopped_by=Caller(agent))
        shown = await scene.node.recordings.get(recording.id)
        assert (shown.state, shown.automatic) == (RecordingState.READY, True)

    async def test_what_an_agent_started_an_agent_may_stop(self, stage: Stage) -> None:
        scene = await stage.scene(triggering_mode=TriggeringMode.MANUAL)
        agent = Participant(id="part_1", conversation=scene.conversation, role=Role.AGENT, name="Ada")
        await scene.begin()
        started = await scene.node.recordings.start(scene.conversation, started_by=Caller(agent))
        assert not started.automatic
        await scene.node.publish(started)
        await scene.node.recordings.stop(started.id, stopped_by=Caller(agent))
        assert (await scene.recorded(1, "AVAILABLE")).end_reason == "NORMAL"


class TestFailover:
    @pytest.mark.parametrize("start", StartMode)
    async def test_abort_ends_what_cannot_be_recorded(self, stage: Stage, start: StartMode) -> None:
        scene = await stage.scene(trouble="refuses", start_mode=start, **ABORTING)
        call = await scene.begin()
        held = [(HOLD, None)] if start is StartMode.SYNCHRONOUS else []
        expected = [*held, (ABORT, "recording_not_started")]
        assert await scene.told(len(expected)) == expected
        assert (await scene.end(call)).state is InteractionState.ABORTED

    async def test_retry_lets_it_start_and_goes_on_trying(self, stage: Stage) -> None:
        scene = await stage.scene(trouble="refuses", max_retries=1)
        await scene.begin()
        assert await scene.told(2) == [(HOLD, None), (RELEASE, "not_recorded")]
        await scene.recorded(1, "FAILED")
        await scene.attempted(3)

    async def test_what_fails_in_a_row_is_one_entry_that_counts(self, stage: Stage) -> None:
        scene = await stage.scene(trouble="refuses", max_retries=1)
        await listen(scene.node)
        call = await scene.begin()
        await scene.recorded(1, "FAILED")
        first = await scene.attempted(4)
        await scene.end(call)
        await scene.settled()
        (entry,) = await scene.recordings()
        assert (entry.id, entry.failure) == (first, "engine_failed")
        assert entry.ended_at is not None
        assert [attempt.failure for attempt in await scene.node.table.attempts(first)][:4] == [
            "engine_failed"
        ] * 4
        assert (await heard_by_webhooks(scene.node)).count("recording.failed") == 1
        kinds = frozenset({MessageKind.RECORDING_FAILED})
        messages = await MessageTable(scene.node.database).list(
            scene.conversation, kinds=kinds, after=None, limit=10
        )
        assert [message.recording for message in messages] == [first]

    async def test_a_full_disk_interrupts_and_does_not_pass_for_a_shutdown(self, stage: Stage) -> None:
        scene = await stage.scene(**ABORTING)
        await scene.begin()
        await scene.node.publish(await scene.recorded(), "full disk")
        assert (await scene.told(3))[-1] == (ABORT, "recording_interrupted")

    @pytest.mark.parametrize("failover", FailoverMode)
    async def test_nobody_sending_is_an_interruption(self, stage: Stage, failover: FailoverMode) -> None:
        scene = await stage.scene(failover_mode=failover)
        await scene.begin()
        recording = await scene.recorded()
        await scene.node.publish(recording, "ends")  # as the engine ends when nothing comes
        if failover is FailoverMode.ABORT:
            assert (await scene.told(3))[-1] == (ABORT, "no_media")
        else:
            assert (await scene.recorded(2)).id != recording.id

    async def test_a_recording_that_is_full_is_followed_before_it_ends(self, stage: Stage) -> None:
        scene = await stage.scene(duration_s_max=8.0)
        await scene.begin()
        first = await scene.recorded()
        await scene.node.publish(first)
        second = await scene.recorded(2)
        assert (await scene.node.recordings.get(first.id)).state is RecordingState.RECORDING
        await scene.node.publish(second)
        first = await scene.recorded(1, "AVAILABLE")
        second = await scene.recorded(2, "RECORDING")
        assert second.started_at is not None
        assert first.ended_at is not None
        assert second.started_at <= first.ended_at  # no gap
        assert (first.end_reason, first.failure) == ("NORMAL", None)

    @pytest.mark.parametrize(
        ("failover", "last"),
        [(FailoverMode.RETRY, (RELEASE, "not_recorded")), (FailoverMode.ABORT, (ABORT, "store_unreachable"))],
    )
    async def test_without_a_store_there_is_one_attempt(
        self,
        stage: Stage,
        failover: FailoverMode,
        last: tuple[DecisionKind, str],
    ) -> None:
        scene = await stage.scene(failover_mode=failover)
        stage.store.faults.outage = UNREACHABLE
        await scene.begin()
        assert await scene.told(2) == [(HOLD, None), last]
        (recording,) = await scene.recordings()
        assert (recording.state, recording.failure) == (RecordingState.FAILED, "store_unreachable")
        supervision = decoded(await scene.node.supervisions.get(scene.conversation))
        assert supervision.deadline is None

    async def test_interrupted_and_retried_is_a_second_recording(self, scene: Scene) -> None:
        await scene.begin()
        first = await scene.recorded()
        await scene.node.publish(first)
        os.kill(await worker_pid(scene.node), signal.SIGKILL)
        second = await scene.recorded(2)
        first = await scene.recorded(1, "AVAILABLE")
        assert first.failure == "worker_died"
        assert first.ended_at is not None
        assert first.ended_at <= second.requested_at  # the gap, as the history shows it
        assert await scene.told(2) == [(HOLD, None), (RELEASE, None)]  # the call heard nothing of it

    async def test_interrupted_and_aborted(self, stage: Stage) -> None:
        scene = await stage.scene(**ABORTING)
        await scene.begin()
        recording = await scene.recorded()
        await scene.node.publish(recording)
        os.kill(await worker_pid(scene.node), signal.SIGKILL)
        assert (await scene.told(3))[-1] == (ABORT, "recording_interrupted")
        assert len(await scene.recordings()) == 1


class TestCobrowsing:
    async def publish(self, scene: Scene, recording: Recording, source: SourceKind) -> None:
        assert recording.entry_point is not None
        address = recording.entry_point.url.rpartition("/")[2]
        who = Publisher(participant="p1", name="Ada", source=source)
        await scene.node.entry_points.publish(address, who, "offer")

    async def test_what_began_before_its_recording_is_not_taken(self, stage: Stage) -> None:
        scene = await stage.scene(triggering_sources=[CALL])
        before = await scene.begin(LAYER, layer=LayerKind.EMBEDDED)
        assert (before.state, before.recorded) == (InteractionState.RUNNING, False)
        await scene.begin()
        recording = await scene.recorded()
        with pytest.raises(BystanderError, match="not_recorded"):
            await self.publish(scene, recording, SourceKind.EMBEDDED)
        within = await scene.begin(LAYER, layer=LayerKind.DOCUMENT)
        assert within.recorded
        await self.publish(scene, recording, SourceKind.DOCUMENT)
        await self.publish(scene, recording, SourceKind.CAMERA)

    async def test_by_pin_starts_by_itself(self, stage: Stage) -> None:
        scene = await stage.scene(triggering_sources=[CALL])
        session = await scene.begin(LAYER, layer=LayerKind.UNIVERSAL, by_pin=True)
        assert session.state is InteractionState.HELD
        await scene.told(2)
        await self.publish(scene, await scene.recorded(), SourceKind.UNIVERSAL)
        await scene.end(session)
        await scene.recorded(1, "AVAILABLE")


class TestTelling:
    async def test_webhooks_hear_exactly_what_was_decided(self, scene: Scene) -> None:
        await listen(scene.node)
        call = await scene.begin()
        recording = await scene.recorded()
        await scene.node.publish(recording)
        await scene.recorded(1, "RECORDING")
        await scene.end(call)
        await scene.recorded(1, "AVAILABLE")
        query = select(webhook_events).order_by(webhook_events.c.sequence)
        async with scene.node.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        assert [row.type for row in rows] == [
            "interaction.hold",
            "interaction.release",
            "recording.started",
            "recording.available",
        ]
        assert rows[0].data["interaction"]["state"] == "HELD"
        assert rows[1].data["interaction"]["state"] == "RUNNING"

    async def test_a_question_waits_for_the_answer(self, scene: Scene) -> None:
        asked = asyncio.ensure_future(scene.node.decisions.list(scene.conversation, after=0, wait_s=10.0))
        await asyncio.sleep(0)
        call = await scene.begin()
        async with asyncio.timeout(5.0):
            (decision, *_) = await asked
        assert (decision.interaction, decision.may_start, decision.must_end) == (call.id, False, False)

    async def test_of_nothing_that_is_unknown(self, scene: Scene) -> None:
        with pytest.raises(BystanderError, match="not_found"):
            await scene.node.decisions.list("conv_none", after=0, wait_s=0)


class TestRestart:
    """The node is left as kill -9 leaves it: its workers go on, its database says what was written last."""

    async def test_a_running_recording_goes_on_without_a_gap(self, scene: Scene, stage: Stage) -> None:
        call = await scene.begin()
        await scene.told(2)
        recording = await scene.recorded()
        await scene.node.publish(recording)
        pid = await worker_pid(scene.node)
        await scene.node.killed()
        scene.node = await stage.node()
        assert await worker_pid(scene.node) == pid
        assert (await scene.recorded(1, "RECORDING")).id == recording.id
        await scene.end(call)
        await scene.recorded(1, "AVAILABLE")
        assert len(await scene.recordings()) == 1

    async def test_a_worker_that_died_meanwhile_is_replaced(self, scene: Scene, stage: Stage) -> None:
        await scene.begin()
        recording = await scene.recorded()
        await scene.node.publish(recording)
        pid = await worker_pid(scene.node)
        await scene.node.killed()
        os.kill(pid, signal.SIGKILL)
        scene.node = await stage.node()
        assert (await scene.recorded(2)).id != recording.id
        assert (await scene.recorded(1, "AVAILABLE")).failure == "worker_died"

    async def test_a_held_call_is_released_by_the_next_server(self, stage: Stage) -> None:
        scene = await stage.scene(trouble="hangs", initialization_timeout_s=60.0)
        assert (await scene.begin()).state is InteractionState.HELD
        await scene.recorded(1, "LAUNCHING")
        pid = await worker_pid(scene.node)
        await scene.node.killed()
        os.kill(pid, signal.SIGKILL)
        scene.node = await stage.node()
        assert (await scene.told(2))[0] == (HOLD, None)
        assert scene.heard[1].kind is RELEASE

    async def test_a_worker_that_became_ready_meanwhile_is_found(self, scene: Scene, stage: Stage) -> None:
        await scene.begin()
        await scene.recorded()
        row = await scene.node.dependencies.table.get((await scene.recordings())[0].id)
        await scene.node.killed()
        stale = msgspec.structs.replace(row, state=RecordingState.LAUNCHING)  # as far as it was written down
        await scene.node.dependencies.table.save(stale)
        scene.node = await stage.node()
        assert (await scene.recorded(1, "READY")).id == row.id
        assert (await scene.node.dependencies.table.get(row.id)).state is RecordingState.READY

    async def test_a_room_that_comes_back_finds_its_call(self, scene: Scene, stage: Stage) -> None:
        call = await scene.begin(owner="call")
        await scene.recorded()
        await scene.node.killed()
        scene.node = await stage.node()
        assert (await scene.begin(owner="call")).id == call.id
