"""OpenStack Swift, besides the contract: refusals by name, links, and taking up what a lost node left."""

import asyncio
import shutil
import uuid
from pathlib import Path

import aiohttp
import msgspec
import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import SIDE_PREFIX, ObjectProperties, ObjectStore
from storage.stores import probe
from storage.stores.presigned_links import LinkTerms, presigned
from storage.takeover.journal_format import tail_range
from storage.takeover.lease import NodeLease
from storage.takeover.orphaned_uploads import Verdict
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import sequence
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ServerProcess
from tests.support.swift_server import SWIFT_ACCESS_KEY_ID

pytestmark = pytest.mark.stores

FRAGMENT_BYTES = 2_000_000  # three make a part; the others are for the tail
QUICK = StorageSettings(retry_delay_initial_s=0.02, retry_delay_max_s=0.2, tail_interval_s=10.0)


@pytest.fixture
def settings(swift_server: ServerProcess) -> StorageSettings:
    prefix = f"own/{uuid.uuid4().hex}"
    return s3_settings(swift_server.endpoint, prefix=prefix, access_key_id=SWIFT_ACCESS_KEY_ID)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"secret_access_key": "wrong"}, "store_denied"),
        ({"access_key_id": "test:nobody"}, "store_denied"),
        ({"url": "s3://no-such-bucket/calls"}, "bucket_missing"),
        ({"legal_hold": True}, "store_failed"),  # it would take the hold and not keep it
    ],
    ids=["secret", "user", "bucket", "hold"],
)
async def test_the_storage_test_says_what_is_wrong(
    settings: StorageSettings, changed: dict[str, object], code: str
) -> None:
    """Although Swift's refusal of a HEAD is nothing that an HTTP client can read."""
    store = open_store(msgspec.structs.replace(settings, **changed))
    try:
        result = await probe.test_store(store)
    finally:
        await store.close()
    assert not result.ok
    assert (result.steps[0].name, (result.steps[0].detail or "").partition(":")[0]) == ("existence", code)


async def test_a_link_opens_the_object_and_no_other(settings: StorageSettings) -> None:
    store = open_store(settings)
    await store.put("conv/call.mp4", b"0123456789", ObjectProperties("video/mp4"))
    await store.put("conv/other.mp4", b"other", ObjectProperties("video/mp4"))
    try:
        link = await presigned(store, "conv/call.mp4", LinkTerms(60, content_disposition="attachment"))
    finally:
        await store.close()
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(link, headers={"Range": "bytes=2-4"}) as response:
            assert (response.status, await response.read()) == (206, b"234")
            assert response.headers["Content-Disposition"] == "attachment"
        async with stranger.get(link.replace("call.mp4", "other.mp4")) as response:
            assert response.status == 403


def node(store: ObjectStore, root: Path, clock: ManualClock, name: str) -> Uploader:
    lease = NodeLease(store, clock, installation="ours", node=name, takeover_after_s=QUICK.takeover_after_s)
    return Uploader(store, root / name, clock, QUICK, finalise_init=filled, lease=lease, replaces_parts=True)


def filled(init: bytes, entries: object) -> bytes:
    return init[:-8] + b"duration"


async def sent_parts(store: ObjectStore) -> int:
    listed = [await store.uploads.list_parts(upload) async for upload in store.uploads.list_uploads()]
    return sum(len(parts) for parts in listed)


async def beside(store: ObjectStore) -> list[str]:
    keys = [info.key async for info in store.list_objects(f"{SIDE_PREFIX}uploads/")]
    return [key.rpartition("/")[2] for key in keys]


async def tails_stop(store: ObjectStore) -> int:
    """Where the last tail ends, in bytes of the recording."""
    ranges = [tail_range(name) for name in await beside(store)]
    return max((held[1] for held in ranges if held is not None), default=0)


async def test_another_node_completes_what_a_lost_one_recorded(
    settings: StorageSettings, tmp_path: Path
) -> None:
    """Its disk is gone: the upload dangles, and all that is known of it lies in the bucket."""
    store, clock = open_store(settings), ManualClock()
    fragments = sequence(*[FRAGMENT_BYTES] * 8)
    first = node(store, tmp_path, clock, "first")
    writer = SpoolWriter.create(tmp_path / "first", facts())
    first.begin(RECORDING)
    for fragment in fragments:
        writer.append(fragment)
    recorded_bytes = sum(len(fragment.data) for fragment in fragments)
    async with asyncio.timeout(60):
        while await sent_parts(store) < 2 or await tails_stop(store) < recorded_bytes:
            clock.advance(QUICK.tail_interval_s)
            first.grew(RECORDING)
            await asyncio.sleep(0.2)
    writer.close()
    await first.close()
    shutil.rmtree(tmp_path / "first")
    clock.advance(QUICK.takeover_after_s + 1)

    second = node(store, tmp_path, clock, "second")
    assert (await second.take_up()).verdicts == {RECORDING: Verdict.RESTORED}
    stored = await second.finish(RECORDING)
    init, *media = fragments
    data = filled(init.data, None) + b"".join(fragment.data for fragment in media)
    chunks = [chunk async for chunk in store.read(facts().key, 0, stored.size)]
    assert b"".join(chunks) == data
    assert await beside(store) == []
    assert [upload async for upload in store.uploads.list_uploads()] == []
    (recovered,) = await second.recover()
    assert recovered.ending is not None
    assert recovered.ending.reason is EndReason.ABORT_UNEXPECTED
    assert (await second.take_up()).verdicts == {}
    await second.close()
    await store.close()
