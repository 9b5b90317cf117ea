"""The console's port, fulfilled by what stands beside this module."""

from collections.abc import Callable
from pathlib import Path

from recorder.archive.archive import Archive
from recorder.archive.backlog_watch import BacklogWatch
from recorder.archive.storage_test import StorageProbes
from recorder.archive.storage_verdict import verdict_of
from recorder.database import ConversationTable, RecordingTable
from recorder.kernel.clock import Clock
from recorder.recording.registry import RecordingRegistry
from recorder.services.console.capacity import CapacityProbe
from recorder.services.console.live import LiveRecordings
from recorder.services.console.recording_events import RecordingEvents
from recorder.services.console.setting_definitions import filename_of, setting_definitions
from recorder.services.console.storage_overview import StorageOverview
from recorder.services.recording.view import RecordingView
from recorder.settings.definitions import Settings
from signaling import console_port as port


class Console:
    """Fulfils signaling.console_port.Console."""

    def __init__(
        self,
        settings: Settings,
        registry: RecordingRegistry,
        view: RecordingView,
        conversations: ConversationTable,
        table: RecordingTable,
        archive: Archive,
        backlog: BacklogWatch,
        clock: Clock,
        probe: StorageProbes,
        data_dir: Path,
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._live = LiveRecordings(registry, view.of_row, conversations, archive.spool)
        self._events = RecordingEvents(table, archive)
        self._storage = StorageOverview(
            {place.name: (place.settings, verdict_of(data_dir, place)) for place in archive.stores}
        )
        self._capacity = CapacityProbe(
            lambda: sum(1 for _ in registry),
            lambda: registry.worker_walls,
            registry.room,
            archive,
            backlog,
            clock,
            disk_free_bytes_min=settings.limits.spool_free_bytes_min,
        )

    async def live(self, *, account: str | None) -> list[port.LiveRecording]:
        return await self._live.of(account)

    async def events(self, recording: str) -> bytes:
        return await self._events.of(recording)

    async def storage(self) -> port.StorageOverview:
        return await self._storage.now()

    def check_store(self, store: str) -> None:
        self._probe.check_named(store)

    async def test_storage(
        self, done: Callable[[port.StorageStep], None], *, store: str
    ) -> port.StorageOutcome:
        steps: list[port.StorageStep] = []

        def step_done(name: str, ok: bool, warning: bool, seconds: float, detail: str) -> None:
            steps.append(port.StorageStep(name=name, ok=ok, warning=warning, seconds=seconds, detail=detail))
            done(steps[-1])

        outcome = await self._probe.test(
            lambda step: step_done(step.name, step.ok, step.warning, step.seconds, step.detail or ""),
            store=store,
        )
        return port.StorageOutcome(ok=outcome["ok"], steps=steps)

    async def capacity(self) -> port.Capacity:
        return await self._capacity.now()

    def setting_definitions(self) -> list[port.SettingDefinition]:
        return setting_definitions(self._settings.recording)

    def filename_of(self, pattern: str) -> str:
        return filename_of(pattern)
