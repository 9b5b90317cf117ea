"""What stands behind the console: the store without its secrets, definitions, patterns."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.archive.backlog_watch import BacklogWatch
from recorder.archive.storage_test import StorageProbe
from recorder.archive.storage_verdict import StorageVerdict, Verdict
from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.services.console.capacity import CapacityProbe
from recorder.services.console.setting_definitions import filename_of, setting_definitions
from recorder.services.console.storage_overview import DISABLED, SECRETS, StorageOverview
from recorder.settings.definitions import RecordingSettings
from recorder.worker_pool.admission import Budget
from recorder.worker_pool.occupancy import Occupancy
from storage.settings import StorageSettings
from storage.stores.memory import MemoryStore
from storage.upload.uploader import Uploader
from tests.support.archives import archive_of, place_of

SECRET = "do-not-show-this"
URLS = {
    "local": "recordings",
    "memory": "memory:",
    "s3": "s3://bucket/prefix",
    "gs": "gs://bucket",
    "azure": "azure://container",
    "sftp": f"sftp://user:{SECRET}@files.example.org/in",
}


@pytest.mark.parametrize("provider", URLS)
async def test_no_secret_of_a_store_is_shown(tmp_path: Path, provider: str) -> None:
    settings = StorageSettings(url=URLS[provider], **dict.fromkeys(SECRETS, SECRET))
    shown = await StorageOverview({"default": (settings, StorageVerdict(tmp_path, settings))}).now()
    assert shown.provider == provider
    assert SECRET not in str(shown)
    assert {one.key.removeprefix("storage.") for one in shown.fields if one.secret} <= SECRETS
    assert all(one.is_set for one in shown.fields if one.secret)


async def test_what_is_disabled_follows_the_last_test(tmp_path: Path) -> None:
    settings = StorageSettings()
    verdict = StorageVerdict(tmp_path, settings)
    overview = StorageOverview({"default": (settings, verdict)})
    assert (await overview.now()).disabled == []
    failed = Verdict(ok=False, tested_at=datetime(2026, 1, 1, tzinfo=UTC), failed_at="write", reason="denied")
    await verdict.keep(failed)
    shown = await overview.now()
    assert shown.disabled == list(DISABLED)
    assert shown.last_test is not None and shown.last_test.failed_at == "write"
    steps: list[str] = []
    await StorageProbe(place_of(MemoryStore()), verdict).test(lambda step: steps.append(step.name))
    assert steps[0] == "existence" and steps[-1] == "delete"
    assert (await overview.now()).disabled == []


async def test_each_store_is_shown_by_name_with_its_own_test(tmp_path: Path) -> None:
    settings = {"default": StorageSettings(), "archive": StorageSettings(url="/proc/nothing")}
    verdicts = {name: StorageVerdict(tmp_path, own, name) for name, own in settings.items()}
    overview = StorageOverview({name: (own, verdicts[name]) for name, own in settings.items()})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    await verdicts["default"].keep(Verdict(ok=True, tested_at=now))
    await verdicts["archive"].keep(Verdict(ok=False, tested_at=now, failed_at="existence", reason="ENOENT"))
    shown = await overview.now()
    assert [(one.name, one.disabled) for one in shown.stores] == [("default", []), ("archive", ["recording"])]
    assert shown.stores[1].last_test is not None and shown.stores[1].last_test.failed_at == "existence"
    assert shown.stores[1].fields[0].key == "stores.archive.url"
    assert (shown.disabled, shown.last_test) == ([], shown.stores[0].last_test)


def test_a_definition_says_all_that_a_form_needs() -> None:
    known = {one.key: one for one in setting_definitions(RecordingSettings(locked=("consent",)))}
    assert known["recording.consent"].locked and not known["recording.type"].locked
    assert known["recording.consent"].schema["enum"] == ["announce", "ask", "none"]
    assert known["recording.visible_to"].schema["items"]["enum"]
    assert known["recording.enabled"].scopes == ["account", "template"]
    assert known["recording.max_retries"].schema["maximum"] == 100
    assert "$ref" not in str(known)


def test_a_pattern_is_filled_with_an_example() -> None:
    assert filename_of("{external_id}_{number}.mp4") == "CRM-70021_1.mp4"
    with pytest.raises(BystanderError, match="invalid_settings"):
        filename_of("{nonsense}")


async def test_capacity_is_of_this_machine(tmp_path: Path) -> None:
    clock, store = ManualClock(), MemoryStore()
    archive = archive_of(store, Uploader(store, tmp_path, clock, StorageSettings()), tmp_path)
    watch = BacklogWatch(archive, clock, 7)
    room = Budget(cores=2, recordings_max=10, cpu_share_max=0.8, memory_free_bytes_min=0), Occupancy(0.5, 3)
    probe = CapacityProbe(
        lambda: 3, lambda: ["limits"], lambda: room, archive, watch, clock, disk_free_bytes_min=7
    )
    found = await probe.now()
    assert (found.recordings, found.recordings_max, found.uploads_waiting) == (3, 10, 0)
    assert (found.disk_free_bytes_min, found.backlog_bytes, found.backlog_drained_in_s) == (7, 0, 0.0)
    assert found.worker_walls == ["limits"]
    assert (found.recording_cores, found.recording_cores_max) == (0.5, 1.6)
    assert found.disk_bytes >= found.disk_free_bytes > 0 and found.cores > 0
