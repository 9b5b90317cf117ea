"""The storage test finds out what a store can do, and says clearly what is wrong with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.limits import MIB, PART_SIZE_BYTES_MIN
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectInfo, ObjectProperties, ObjectStore
from storage.stores import probe
from storage.stores.encryption import Encryption
from storage.stores.memory import Faults, MemoryStore
from tests.storage.stores import s3_settings
from tests.support.ports import free_port
from tests.support.s3_servers import SECRET_ACCESS_KEY, ServerProcess

ALL = ["existence", "clock_skew", "write", "read", "range", "multipart"]
ALL += ["throughput_up", "throughput_down", "delete"]


async def test_a_working_store_passes_and_nothing_is_left_in_it(
    any_store: ObjectStore, request: pytest.FixtureRequest
) -> None:
    result = await probe.test_store(any_store)
    assert result.ok, result.steps
    assert [step.name for step in result.steps] == ALL
    assert all(step.seconds >= 0 for step in result.steps)
    once = request.node.callspec.params["any_store"] in ("rclone", "memory-once")
    assert result.replaces_parts is not once
    assert [info.key async for info in any_store.list_objects()] == []
    assert [upload.key async for upload in any_store.uploads.list_uploads()] == []


async def test_the_first_failure_ends_the_test() -> None:
    result = await probe.test_store(MemoryStore(faults=Faults(outage="store_denied")))
    assert not result.ok
    assert [(step.name, step.ok) for step in result.steps] == [("existence", False), ("clock_skew", True)]
    assert (result.steps[0].detail or "").startswith("store_denied")


class ClockStore(MemoryStore):
    """A store that tells its time."""

    def __init__(self, clock: ManualClock, *, ahead_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._ahead = timedelta(seconds=ahead_s)

    async def server_time(self) -> datetime:
        return self._clock.utc_now() + self._ahead


@pytest.mark.parametrize(
    ("ahead_s", "ok", "warning"), [(59, True, False), (-61, True, True), (901, False, False)]
)
async def test_a_clock_that_is_off(ahead_s: float, ok: bool, warning: bool) -> None:
    clock = ManualClock()
    result = await probe.test_store(ClockStore(clock, ahead_s=ahead_s), clock=clock)
    step = next(step for step in result.steps if step.name == "clock_skew")
    assert (step.ok, step.warning, result.ok) == (ok, warning, ok)
    assert f"{-ahead_s:+.0f} s" in (step.detail or "")


async def test_a_real_server_tells_its_time_even_to_strangers(rclone_server: ServerProcess) -> None:
    for secret in ("wrong-and-long-enough", SECRET_ACCESS_KEY):
        store = open_store(s3_settings(rclone_server.endpoint, secret_access_key=secret))
        assert isinstance(store, probe.Clocked)
        told = await store.server_time()
        await store.close()
        assert told is not None
        assert abs((datetime.now(UTC) - told).total_seconds()) < 30


class SlowStore(MemoryStore):
    """Takes and gives so many bytes a second, on a clock of its own."""

    def __init__(self, clock: ManualClock, *, bytes_per_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._bytes_per_s = bytes_per_s

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        self._clock.advance(len(data) / self._bytes_per_s)
        return await super().put(key, data, properties)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        self._clock.advance((stop - start) / self._bytes_per_s)
        async for chunk in super().read(key, start, stop):
            yield chunk


@pytest.mark.parametrize(
    ("mbit_per_s", "warning", "sent"), [(4.9, True, MIB), (5.1, False, MIB), (80.0, False, 5 * MIB)]
)
async def test_a_slow_store_passes_with_a_warning(mbit_per_s: float, warning: bool, sent: int) -> None:
    clock = ManualClock()
    store = SlowStore(clock, bytes_per_s=mbit_per_s * 1e6 / 8)
    result = await probe.test_store(store, clock=clock)
    assert result.ok
    speeds = [step for step in result.steps if step.name.startswith("throughput")]
    assert [step.warning for step in speeds] == [warning, warning]
    assert all((step.detail or "").startswith(f"{mbit_per_s:.1f} Mbit/s") for step in speeds)
    others = 64 * 1024 * 2 + 2 * PART_SIZE_BYTES_MIN  # what the other steps sent
    assert store.bytes_received == sent + others


async def test_a_server_that_is_not_there() -> None:
    store = open_store(s3_settings(f"http://127.0.0.1:{free_port()}"))
    result = await probe.test_store(store)
    await store.close()
    assert not result.ok
    assert (result.steps[0].detail or "").startswith("store_unreachable")


async def test_a_bucket_that_is_not_there(rclone_server: ServerProcess) -> None:
    settings = s3_settings(rclone_server.endpoint, url="s3://no-such-bucket")
    store = open_store(settings)
    result = await probe.test_store(store)
    await store.close()
    assert (result.steps[0].detail or "").startswith("bucket_missing")


async def test_a_wrong_key_is_denied(rclone_server: ServerProcess) -> None:
    store = open_store(s3_settings(rclone_server.endpoint, secret_access_key="wrong-and-long-enough"))
    result = await probe.test_store(store)
    await store.close()
    assert (result.steps[0].detail or "").startswith("store_denied")


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store(StorageSettings(url="file/objects"), data_dir=tmp_path)
    result = await probe.test_store(store)
    assert not result.ok
    assert [step.name for step in result.steps] == ["existence"]


class Forgetful(MemoryStore):
    """Takes the wish for encryption and keeps what it likes."""

    def __init__(self, keeps: Encryption) -> None:
        super().__init__()
        self._keeps = keeps

    @property
    def asked_encryption(self) -> Encryption:
        return Encryption("aws:kms", "key-1")

    async def encryption_of(self, key: str) -> Encryption:
        await self.head(key)
        return self._keeps


@pytest.mark.parametrize(
    ("keeps", "ok"),
    [
        (Encryption(), False),
        (Encryption("AES256"), False),
        (Encryption("aws:kms", "key-2"), False),
        (Encryption("aws:kms", "arn:aws:kms:eu-central-1:1:key/key-1"), True),
    ],
)
async def test_a_store_that_ignores_encryption_fails(keeps: Encryption, ok: bool) -> None:
    result = await probe.test_store(Forgetful(keeps))
    found = {step.name: step for step in result.steps}
    assert (result.ok, found["encryption"].ok) == (ok, ok)
    assert found["delete"].ok
