"""What the console needs of the rest: what runs now, a recording's events, the store, capacity."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from recorder.kernel.conversation import Conversation
from recorder.kernel.recording import Recording


class LiveRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that is not over, as its worker last told.

    `unsent_bytes` are written down here and not in the store yet; `spool_lag_s` is the age of the newest
    media that is not even written down.
    """

    id: str
    recording: Recording
    conversation: Conversation
    publishers: int = 0
    packets_lost: int = 0
    packets_recovered: int = 0
    dropped: int = 0
    degraded: bool = False
    spool_lag_s: float = 0.0
    unsent_bytes: int = 0


class StorageField(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the store; of a secret only whether it is set."""

    key: str
    value: str | None
    is_set: bool
    secret: bool


class StorageVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the last test of this store found."""

    ok: bool
    tested_at: datetime
    failed_at: str | None = None
    reason: str | None = None


class StoreOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A store of the settings. `disabled`: what does not work with it until a test of it passes."""

    name: str
    provider: str
    fields: list[StorageField]
    last_test: StorageVerdict | None
    disabled: list[str]


class StorageOverview(msgspec.Struct, frozen=True, kw_only=True):
    """The default store, and all `stores` by name, it among them.

    `disabled`: what does not work until a test of the default passes; empty while all does.
    """

    provider: str
    fields: list[StorageField]
    last_test: StorageVerdict | None
    disabled: list[str]
    stores: list[StoreOverview]


class StorageStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried on the store; `warning`: it can be used, and yet somebody should look."""

    name: str
    ok: bool
    warning: bool
    seconds: float
    detail: str


class StorageOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all steps together."""

    ok: bool
    steps: list[StorageStep]


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How much this server does and could do.

    The backlog is what is recorded and not in the store: how long the oldest of it has waited at least, how
    long it takes at the rate of the last minutes (null while nothing is sent), and when the disk is full at
    that rate (null while it does not get fuller). `worker_walls` is what the newest worker stands behind
    (null before the first): docs/how/sandbox.md says what each is.
    """

    recordings: int
    recordings_max: int
    uploads_waiting: int
    cores: int
    load_per_core: float
    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    recording_cores: float = 0.0  # that all recordings take
    recording_cores_max: float = 0.0  # beyond which no new one begins
    disk_free_bytes_min: int = 0  # with less no new recording begins
    disk_full_in_s: float | None = None
    backlog_bytes: int = 0
    backlog_age_s: float = 0.0
    backlog_drained_in_s: float | None = None
    worker_walls: list[str] | None = None


class SettingDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that inner scopes may say; `schema` is the JSON Schema of its values."""

    key: str
    description: str
    schema: dict[str, Any]
    default: Any
    scopes: list[str]
    locked: bool


class Console(Protocol):
    """`account`: the only one that the caller reaches; None: all."""

    async def live(self, *, account: str | None) -> list[LiveRecording]:
        """In the order in which they were asked for."""
        ...

    async def events(self, recording: str) -> bytes:
        """Lines of JSON: what happened in it until now. 404 not_found, 409 no_events."""
        ...

    async def storage(self) -> StorageOverview: ...
    def check_store(self, store: str) -> None:
        """404 not_found where the settings have no store of that name."""
        ...

    async def test_storage(self, done: Callable[[StorageStep], None], *, store: str) -> StorageOutcome:
        """The test of the store of that name; `done` hears of each step when it is over. 404 not_found."""
        ...

    async def capacity(self) -> Capacity: ...
    def setting_definitions(self) -> list[SettingDefinition]: ...
    def filename_of(self, pattern: str) -> str:
        """What a recording would be called; 400 invalid_settings for a pattern that cannot be."""
        ...
