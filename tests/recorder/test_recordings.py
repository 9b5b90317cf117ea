"""Recordings from start to store, on real processes and a real database, with everything that goes wrong."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from recorder.composition import BaseUrls
from recorder.kernel.conversation import Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason, Recording, RecordingState
from recorder.recording.events import Phase
from recorder.settings.definitions import EntryPointSettings, ServerSettings, Settings
from recorder.worker_pool.worker import Worker
from signaling.ports import Caller
from storage.errors import UNREACHABLE
from storage.stores.memory import MemoryStore
from tests.recorder.node import BASE_URLS, STATE_S_MAX, Node, open_node, settings_for
from tests.support.fake_workers import FRAGMENT_BYTES


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def node(tmp_path: Path, stack: AsyncExitStack, store: MemoryStore) -> Node:
    return await open_node(tmp_path, stack, store)


def ended_as(recording: Recording) -> tuple[RecordingState, EndReason | None, str | None]:
    return recording.state, recording.end_reason, recording.failure


async def worker_pid(node: Node) -> int:
    (worker,) = node.workers
    return worker.pid


class TestALife:
    async def test_from_start_to_store(self, node: Node) -> None:
        assert node.registry.worker_walls is None
        started = await node.start()
        assert "no_new_privs" in (node.registry.worker_walls or ())
        assert started.state is RecordingState.READY
        assert started.entry_point is not None
        await node.publish(started)
        running = await node.until(started.id, "RECORDING")
        assert running.started_at is not None
        await node.recordings.stop(started.id, stopped_by=Caller())
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.NORMAL, None)
        assert (over.duration_s, over.bytes, over.entry_point) == (1.0, 2 * FRAGMENT_BYTES, None)
        assert len(await node.media(started.id)) == 2 * FRAGMENT_BYTES
        assert len(node.workers) == 0

    async def test_media_can_be_read_while_it_grows(self, node: Node) -> None:
        started = await node.start()
        with pytest.raises(BystanderError, match="no_media"):
            await node.recordings.media(started.id)
        await node.publish(started)
        opened = await node.recordings.media(started.id)
        assert (opened.size, opened.complete) == (2 * FRAGMENT_BYTES, False)
        await opened.reader.close()

    async def test_that_nobodys_media_arrives_any_more_is_said(self, node: Node) -> None:
        started = await node.start()
        await node.publish(started, "leaves")
        async with asyncio.timeout(STATE_S_MAX):
            async for now in node.recordings.watch(started.conversation):
                if now.state is RecordingState.RECORDING and not now.receiving:
                    return

    async def test_who_took_part_comes_from_the_media(self, tmp_path: Path, stack: AsyncExitStack) -> None:
        settings = settings_for(tmp_path, filename_pattern="call of {participants}.mp4")
        node = await open_node(tmp_path, stack, MemoryStore(), settings)
        started = await node.start()
        assert started.filename == "call of.mp4"
        await node.publish(started, "joins", "one")
        await node.publish(started, "leaves", "two")
        await node.until(started.id, "RECORDING")
        presences = node.dependencies.presences
        async with asyncio.timeout(STATE_S_MAX):
            while len(now := (await presences.of([started.id]))[started.id]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert {one.participant: one.left_at is None for one in now} == {"one": True, "two": False}
        await node.recordings.stop(started.id, stopped_by=Caller())
        over = await node.until(started.id, "AVAILABLE")
        assert over.filename == "call of joins-leaves.mp4"
        kept = (await presences.of([started.id]))[started.id]
        assert {one.name for one in kept} == {"joins", "leaves"}
        assert all(one.left_at is not None and one.joined_at >= over.started_at for one in kept)

    async def test_watchers_see_every_last_state(self, node: Node) -> None:
        started = await node.start()
        await node.recordings.stop(started.id, stopped_by=Caller())
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert over == await node.recordings.get(started.id)

    async def test_stopping_twice_is_the_same_as_once(self, node: Node) -> None:
        started = await node.start()
        await node.publish(started)
        first, second = await asyncio.gather(
            node.recordings.stop(started.id, stopped_by=Caller()),
            node.recordings.stop(started.id, stopped_by=Caller()),
        )
        assert first.state in (RecordingState.FINALIZING, RecordingState.AVAILABLE)
        assert second.end_reason is EndReason.NORMAL
        await node.until(started.id, "AVAILABLE")
        assert (await node.recordings.stop(started.id, stopped_by=Caller())).state is RecordingState.AVAILABLE

    async def test_one_at_a_time_in_a_conversation(self, node: Node) -> None:
        started = await node.start()
        with pytest.raises(BystanderError, match="recording_in_progress"):
            await node.recordings.start(started.conversation, started_by=Caller())
        await node.recordings.stop(started.id, stopped_by=Caller())
        again = await node.recordings.start(started.conversation, started_by=Caller())
        assert [one.id for one in await node.recordings.list(started.conversation)] == [started.id, again.id]
        assert again.filename is not None
        assert again.filename.endswith("_2.mp4")

    async def test_attempts_are_written_down(self, node: Node) -> None:
        started = await node.start()
        (attempt,) = await node.table.attempts(started.id)
        assert attempt.ready_at is not None
        assert attempt.failure is None

    async def test_starts_are_timed(self, node: Node) -> None:
        await node.start()
        count = node.metrics.get_sample_value("bystander_recording_start_seconds_count")
        assert count == 1


class TestWhereItIsReached:
    async def test_people_and_publishers_by_ways_of_their_own(self, node: Node) -> None:
        started = await node.start()
        assert started.entry_point is not None
        assert started.entry_point.url.startswith(f"{BASE_URLS.entry_points}/whip/")
        ada = await node.conversations.add_participant(started.conversation, role=Role.AGENT, name="Ada")
        assert ada.room_url is not None
        assert ada.room_url.startswith(f"{BASE_URLS.public}/room/")

    @pytest.mark.parametrize(
        ("public", "entry_points", "reached"),
        [
            (None, None, ("http://own", "http://own")),
            ("https://a/x/", None, ("https://a/x", "https://a/x")),
            (None, "https://b/", ("http://own", "https://b")),
            ("https://a/x", "https://b", ("https://a/x", "https://b")),
        ],
    )
    def test_what_is_not_set_follows_what_is(
        self, public: str | None, entry_points: str | None, reached: tuple[str, str]
    ) -> None:
        settings = Settings(
            server=ServerSettings(public_url=public), entry_point=EntryPointSettings(base_url=entry_points)
        )
        urls = BaseUrls.of(settings, "http://own")
        assert (urls.public, urls.entry_points) == reached


class TestRefusals:
    async def test_an_unknown_conversation(self, node: Node) -> None:
        with pytest.raises(BystanderError, match="not_found"):
            await node.recordings.start("conv_none", started_by=Caller())

    async def test_an_ended_conversation(self, node: Node) -> None:
        conversation = await node.conversation()
        await node.conversations.end(conversation.id)
        with pytest.raises(BystanderError, match="conversation_ended"):
            await node.recordings.start(conversation.id, started_by=Caller())

    async def test_recording_switched_off(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        node = await open_node(tmp_path, stack, store, settings_for(tmp_path, enabled=False))
        with pytest.raises(BystanderError, match="recording_disabled"):
            await node.start()

    async def test_an_entry_point_is_secret_and_ends_with_its_recording(self, node: Node) -> None:
        started = await node.start()
        assert started.entry_point is not None
        address = started.entry_point.url.rpartition("/")[2]
        assert (await node.entry_points.check(address, started.entry_point.token)).ice_servers == []
        for token in (None, "", "wrong", started.entry_point.token[:-1]):
            with pytest.raises(BystanderError, match="unauthorized"):
                await node.entry_points.check(address, token)
        with pytest.raises(BystanderError, match="not_found"):
            await node.entry_points.check(started.id, started.entry_point.token)
        await node.recordings.stop(started.id, stopped_by=Caller())
        with pytest.raises(BystanderError, match="not_found"):
            await node.entry_points.check(address, started.entry_point.token)

    @pytest.mark.parametrize("session", ["../x", "ses_1", ""])
    async def test_sessions_that_never_were(self, node: Node, session: str) -> None:
        started = await node.start()
        assert started.entry_point is not None
        with pytest.raises(BystanderError, match="not_found"):
            await node.entry_points.unpublish(started.entry_point.url.rpartition("/")[2], session)


class TestTrouble:
    async def test_a_killed_worker_fails_the_recording_and_keeps_what_was_written(self, node: Node) -> None:
        started = await node.start()
        await node.publish(started)
        os.kill(await worker_pid(node), signal.SIGKILL)
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.ABORT_UNEXPECTED, "worker_died")
        assert (over.duration_s, over.bytes) == (1.0, 2 * FRAGMENT_BYTES)
        assert len(await node.media(started.id)) == 2 * FRAGMENT_BYTES

    async def test_stopped_without_media(self, node: Node) -> None:
        started = await node.start()
        await node.recordings.stop(started.id, stopped_by=Caller())
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.FAILED, EndReason.NORMAL, "no_media")
        with pytest.raises(BystanderError, match="no_media"):
            await node.recordings.media(started.id)

    async def test_an_engine_that_ends_by_itself(self, node: Node) -> None:
        started = await node.start()
        try:
            await node.publish(started, "ends")
        except BystanderError as error:
            assert error.code == "worker_unreachable"  # the answer and the end cross
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.ABORT_TIMEOUT, "no_media")

    async def test_no_store_no_recording(self, node: Node, store: MemoryStore) -> None:
        conversation = await node.conversation()
        store.faults.outage = UNREACHABLE
        with pytest.raises(BystanderError) as refused:
            await node.recordings.start(conversation.id, started_by=Caller())
        assert (refused.value.code, refused.value.status) == ("store_unreachable", 503)
        (recording,) = await node.recordings.list(conversation.id)
        assert ended_as(recording) == (
            RecordingState.FAILED,
            EndReason.ABORT_BLOBSTORE_FAILURE,
            "store_unreachable",
        )
        assert len(node.workers) == 0

    async def test_no_store_and_all_the_same(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        node = await open_node(tmp_path, stack, store, settings_for(tmp_path, check_store=False))
        store.faults.outage = UNREACHABLE
        started = await node.start()
        await node.publish(started)
        store.faults.outage = None
        await node.recordings.stop(started.id, stopped_by=Caller())
        assert (await node.until(started.id, "AVAILABLE", "FAILED")).state is RecordingState.AVAILABLE

    @pytest.mark.parametrize(("trouble", "failure"), [("refuses", "engine_failed"), ("dies", "worker_died")])
    async def test_a_worker_that_cannot_begin(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore, trouble: str, failure: str
    ) -> None:
        node = await open_node(tmp_path, stack, store, settings_for(tmp_path, trouble=trouble))
        conversation = await node.conversation()
        with pytest.raises(BystanderError, match=failure):
            await node.recordings.start(conversation.id, started_by=Caller())
        (recording,) = await node.recordings.list(conversation.id)
        assert ended_as(recording) == (RecordingState.FAILED, EndReason.ABORT_UNEXPECTED, failure)
        assert [one.failure for one in await node.table.attempts(recording.id)] == [failure] * 3

    async def test_a_worker_that_hangs_is_killed_and_tried_again(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        settings = settings_for(tmp_path, trouble="hangs", initialization_timeout_s=0.5, max_retries=2)
        node = await open_node(tmp_path, stack, store, settings)
        with pytest.raises(BystanderError, match="worker_not_ready"):
            await node.start()
        async with asyncio.timeout(10):
            for worker in node.workers:
                await worker.gone()

    async def test_the_second_attempt_succeeds(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        trouble = "dies-once"
        node = await open_node(tmp_path, stack, store, settings_for(tmp_path, trouble=trouble))
        started = await node.start()
        assert started.state is RecordingState.READY
        assert [one.failure for one in await node.table.attempts(started.id)] == ["worker_died", None]
        await node.publish(started)
        await node.recordings.stop(started.id, stopped_by=Caller())
        await node.until(started.id, "AVAILABLE")


class TestInterruptions:
    async def test_another_worker_goes_on_with_the_same_recording(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        settings = settings_for(tmp_path, after_interruption="continue")
        node = await open_node(tmp_path, stack, store, settings)
        started = await node.start()
        await node.publish(started)
        await node.until(started.id, "RECORDING")
        first = await worker_pid(node)
        os.kill(first, signal.SIGKILL)
        await node.until(started.id, "INTERRUPTED")
        await node.registry.live(started.id).until(lambda phase: phase is Phase.RESUMING)
        assert (await node.recordings.get(started.id)).entry_point == started.entry_point
        await node.publish(started)
        await node.until(started.id, "RECORDING")
        assert await worker_pid(node) != first
        await node.recordings.stop(started.id, stopped_by=Caller())
        over = await node.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.NORMAL, None)
        assert over.bytes == 3000  # an init segment and a fragment of each
        assert len(await node.recordings.list(started.conversation)) == 1
        assert len(await node.table.attempts(started.id)) == 2

    async def test_who_comes_between_is_asked_to_try_again(
        self, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_for(tmp_path, after_interruption="continue")
        node = await open_node(tmp_path, stack, store, settings)
        started = await node.start()
        await node.publish(started)
        await node.until(started.id, "RECORDING")
        may_launch, launch = asyncio.Event(), node.workers.launch

        async def launch_later(*arguments: Any) -> Worker:
            await may_launch.wait()
            return await launch(*arguments)

        monkeypatch.setattr(node.workers, "launch", launch_later)
        os.kill(await worker_pid(node), signal.SIGKILL)
        await node.until(started.id, "INTERRUPTED")
        with pytest.raises(BystanderError) as refused:
            await node.publish(started)
        assert (refused.value.code, refused.value.status) == ("recording_interrupted", 503)
        may_launch.set()
        await node.registry.live(started.id).until(lambda phase: phase is Phase.RESUMING)
        await node.publish(started)
        await node.until(started.id, "RECORDING")


class TestConversations:
    async def test_ending_one_ends_its_recording(self, node: Node) -> None:
        started = await node.start()
        await node.publish(started)
        await node.conversations.end(started.conversation)
        assert (await node.until(started.id, "AVAILABLE", "FAILED")).state is RecordingState.AVAILABLE

    async def test_deleting_one_deletes_its_recordings(
        self, node: Node, store: MemoryStore, tmp_path: Path
    ) -> None:
        started = await node.start()
        await node.publish(started)
        await node.recordings.stop(started.id, stopped_by=Caller())
        await node.until(started.id, "AVAILABLE")
        key = (await node.table.get(started.id)).object_key
        assert (await store.head(key)).size > 0
        again = await node.recordings.start(started.conversation, started_by=Caller())  # and one that runs
        await node.publish(again)
        with pytest.raises(BystanderError, match="recording_in_progress"):
            await node.conversations.delete(started.conversation)
        assert (await node.recordings.get(again.id)).ended_at is None
        await node.conversations.delete(started.conversation, end_recordings=True)
        with pytest.raises(BystanderError, match="not_found"):
            await node.recordings.get(started.id)
        with pytest.raises(BystanderError, match="object_missing"):
            await store.head(key)
        assert not (tmp_path / "spool" / started.id).exists()


class TestShutdownAndRestart:
    async def test_draining_stores_everything(self, node: Node) -> None:
        started = await node.start()
        await node.publish(started)
        assert await node.registry.drain(20.0) == 0
        over = await node.recordings.get(started.id)
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.ABORT_SYSTEM, None)
        with pytest.raises(BystanderError, match="shutting_down"):
            await node.start()

    async def test_an_outage_at_the_end_is_made_up_for_by_the_next_server(
        self, node: Node, tmp_path: Path, stack: AsyncExitStack, store: MemoryStore
    ) -> None:
        started = await node.start()
        await node.publish(started)
        store.faults.outage = UNREACHABLE
        assert await node.registry.drain(0.5) == 1
        await node.dependencies.archive.close()
        store.faults.outage = None
        successor = await open_node(tmp_path, stack, store)
        over = await successor.until(started.id, "AVAILABLE", "FAILED")
        assert ended_as(over) == (RecordingState.AVAILABLE, EndReason.ABORT_SYSTEM, None)
