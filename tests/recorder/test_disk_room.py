"""No recording begins that could not end on this disk, and who looks after the machine hears of it before."""

import logging
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from recorder.archive.backlog_watch import BacklogWatch, trouble
from recorder.kernel.errors import BystanderError
from recorder.settings.definitions import LimitSettings
from signaling.ports import Caller
from storage.stores.memory import MemoryStore
from storage.upload.backlog import Backlog
from tests.recorder.node import open_node, settings_for

MORE_THAN_ANY_DISK = 2**60
ROOM = 1000
QUIET = Backlog(0, 0.0, None)


async def test_a_recording_is_refused_while_the_disk_is_almost_full(tmp_path: Path) -> None:
    limits = LimitSettings(spool_free_bytes_min=MORE_THAN_ANY_DISK)
    settings = msgspec.structs.replace(settings_for(tmp_path), limits=limits)
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, MemoryStore(), settings)
        conversation = await node.conversation()
        with pytest.raises(BystanderError) as refused:
            await node.recordings.start(conversation.id, started_by=Caller())
        assert (refused.value.code, refused.value.status) == ("disk_almost_full", 503)
        assert await node.recordings.list(conversation.id) == []


async def test_what_is_short_is_said_once_and_once_that_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, MemoryStore())
        archive = node.dependencies.archive
        watch = BacklogWatch(archive, node.dependencies.clock, archive.disk_free_bytes() // 2)
        with caplog.at_level(logging.INFO, "recorder.archive"):
            for _ in range(3):
                await watch.look()
        said = [record for record in caplog.records if "getting full" in record.message]
        assert [record.levelname for record in said] == ["WARNING"]


@pytest.mark.parametrize(
    ("backlog", "free_bytes", "stalled_s", "words"),
    [
        (QUIET, 4 * ROOM, 0.0, ()),
        (QUIET, 4 * ROOM - 1, 0.0, ("getting full",)),
        (QUIET, ROOM - 1, 0.0, ("almost full", "getting full")),
        (Backlog(9, 1.0, 3599.0), 9 * ROOM, 0.0, ("within an hour",)),
        (Backlog(9, 901.0, None), 9 * ROOM, 0.0, ("slower",)),
        (QUIET, 9 * ROOM, 61.0, ("waiting",)),
    ],
)
def test_trouble_is_said_before_it_hurts(
    backlog: Backlog, free_bytes: int, stalled_s: float, words: tuple[str, ...]
) -> None:
    found = sorted(trouble(backlog, free_bytes, stalled_s, ROOM))
    assert len(found) == len(words)
    assert all(any(word in sentence for sentence in found) for word in words)
