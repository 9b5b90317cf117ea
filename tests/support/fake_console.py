"""In-memory fulfilment of the console's port."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.recording import RecordingState
from signaling.console_port import (
    Capacity,
    LiveRecording,
    SettingDefinition,
    StorageField,
    StorageOutcome,
    StorageOverview,
    StorageStep,
)

if TYPE_CHECKING:
    from tests.support.fake_ports import FakeServer

_OVER = (RecordingState.AVAILABLE, RecordingState.FAILED)


@dataclass
class FakeConsole:
    """`lines` are every recording's events, `steps` what a storage test does."""

    server: "FakeServer"
    lines: bytes = b'{"kind":"recording_started","at_s":0.0}\n'
    steps: list[StorageStep] = field(
        default_factory=lambda: [StorageStep(name="write", ok=True, warning=False, seconds=0.01, detail="")]
    )

    async def live(self, *, account: str | None) -> list[LiveRecording]:
        found = []
        for one in self.server.recordings.values():
            conversation = self.server.conversation(one.conversation)
            if one.state not in _OVER and account in (None, conversation.account):
                found.append(LiveRecording(id=one.id, recording=one, conversation=conversation))
        return found

    async def events(self, recording: str) -> bytes:
        self.server.recording(recording)
        return self.lines

    async def storage(self) -> StorageOverview:
        secret = StorageField(key="storage.password", value=None, is_set=True, secret=True)
        return StorageOverview(provider="sftp", fields=[secret], last_test=None, disabled=[], stores=[])

    def check_store(self, store: str) -> None:
        if store != "default":
            raise not_found("store")

    async def test_storage(self, done: Callable[[StorageStep], None], *, store: str) -> StorageOutcome:
        for step in self.steps:
            done(step)
        return StorageOutcome(ok=all(step.ok for step in self.steps), steps=self.steps)

    async def capacity(self) -> Capacity:
        return Capacity(
            recordings=0,
            recordings_max=1000,
            uploads_waiting=0,
            cores=2,
            load_per_core=0.5,
            memory_bytes=8_000_000_000,
            memory_available_bytes=4_000_000_000,
            disk_bytes=100_000_000_000,
            disk_free_bytes=50_000_000_000,
        )

    def setting_definitions(self) -> list[SettingDefinition]:
        return []

    def filename_of(self, pattern: str) -> str:
        if "{" in pattern.replace("{number}", ""):
            raise caller_error("invalid_settings", "unknown field")
        return pattern.replace("{number}", "1")
