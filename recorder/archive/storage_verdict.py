"""The storage verdict, kept on disk: a store whose last test failed takes no recordings until it passes.

The file is asked anew each time, so a test from the command line counts for the running server at once.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.settings.definitions import DEFAULT_STORE
from recorder.stores.named_stores import NamedStore
from storage.settings import StorageSettings
from storage.spool.durable_files import write_atomic

FILE = "storage-test.json"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of one test of one store; `failed_at` is the step that failed, with its reason."""

    store: str = ""  # filled in when it is kept: a verdict on another store says nothing
    ok: bool
    tested_at: datetime
    replaces_parts: bool = False
    failed_at: str | None = None
    reason: str | None = None


class StorageVerdict:
    """The verdict on the store that is configured now."""

    def __init__(self, data_dir: Path, settings: StorageSettings, name: str = DEFAULT_STORE) -> None:
        self._file = data_dir / (FILE if name == DEFAULT_STORE else f"storage-test-{name}.json")
        self._store = store_named(settings)

    def last(self) -> Verdict | None:
        """What was found last; None for a store that was never tested. Blocking."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=Verdict)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:  # it may have said no
            now = datetime.fromtimestamp(0, UTC)
            return Verdict(
                ok=False,
                tested_at=now,
                failed_at="record",
                reason=f"{type(error).__name__} in {self._file.name}",
            )
        return found if found.store == self._store else None

    async def check(self) -> None:
        """storage_test_failed (503) from a failed test to the next that passes."""
        found = await asyncio.to_thread(self.last)
        if found is not None and not found.ok:
            raise BystanderError(
                "storage_test_failed",
                f"The storage test of {found.tested_at:%Y-%m-%d %H:%M} UTC failed at {found.failed_at} "
                f"({found.reason}); nothing is recorded until a test passes.",
                fault=Fault.DESTINATION,
                status=503,
            )

    async def keep(self, verdict: Verdict) -> None:
        """Let this count from now on."""
        await asyncio.to_thread(self._keep, verdict)

    def _keep(self, verdict: Verdict) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._file, msgspec.json.encode(msgspec.structs.replace(verdict, store=self._store)))


def verdict_of(data_dir: Path, place: NamedStore) -> StorageVerdict:
    """Of one of the stores of the settings."""
    return StorageVerdict(data_dir, place.settings, place.name)


def store_named(settings: StorageSettings) -> str:
    """What tells one store from another; no secret."""
    return " ".join(filter(None, (settings.url, settings.endpoint, settings.region)))
