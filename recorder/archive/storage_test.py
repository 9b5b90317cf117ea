"""The storage test as signaling and the command line ask for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.archive.storage_verdict import StorageVerdict, Verdict, verdict_of
from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.errors import not_found
from recorder.settings.definitions import DEFAULT_STORE, Settings
from recorder.stores.named_stores import NamedStore, NamedStores
from recorder.stores.opening import opened
from storage.stores.probe import ProbeResult, ProbeStep, test_store


class StorageProbe:
    """The test of one store."""

    def __init__(self, place: NamedStore, verdict: StorageVerdict, clock: Clock | None = None) -> None:
        self._place = place
        self._verdict = verdict
        self._clock = clock or SystemClock()
        self._testing = asyncio.Lock()  # two at once would measure each other

    async def test(self, done: Callable[[ProbeStep], None] | None = None) -> dict[str, Any]:
        """Try the store, and let the outcome count: {"ok", "warnings", "steps"}.

        A step is {"name", "ok", "warning", "seconds", "detail"}; `done` hears of each when it is over.
        """
        async with self._testing:
            result = await test_store(
                self._place.store,
                clock=self._clock,
                done=done or _nobody_listens,
                existence=self._place.check,
            )
            await self._verdict.keep(self._judged(result))
        told = [
            {
                "name": step.name,
                "ok": step.ok,
                "warning": step.warning,
                "seconds": step.seconds,
                "detail": step.detail or "",
            }
            for step in result.steps
        ]
        return {"ok": result.ok, "steps": told, "warnings": sum(step.warning for step in result.steps)}

    def _judged(self, result: ProbeResult) -> Verdict:
        failed = next((step for step in result.steps if not step.ok), None)
        return Verdict(
            ok=result.ok,
            tested_at=self._clock.utc_now(),
            replaces_parts=result.replaces_parts,
            failed_at=None if failed is None else failed.name,
            reason=None if failed is None else failed.detail,
        )


class StorageProbes:
    """The tests of all stores of the settings. Fulfils signaling.ports.StorageProbe."""

    def __init__(self, stores: NamedStores, data_dir: Path, clock: Clock) -> None:
        self._probes = {
            place.name: StorageProbe(place, verdict_of(data_dir, place), clock) for place in stores
        }

    async def test(
        self, done: Callable[[ProbeStep], None] | None = None, *, store: str = DEFAULT_STORE
    ) -> dict[str, Any]:
        """As StorageProbe's, of the store of that name; 404 not_found."""
        self.check_named(store)
        return await self._probes[store].test(done)

    def check_named(self, store: str) -> None:
        """404 not_found where the settings have no store of that name."""
        if store not in self._probes:
            raise not_found("store")


def _nobody_listens(step: ProbeStep) -> None:
    """For a test whose outcome alone counts."""


async def test_configured(settings: Settings, name: str = DEFAULT_STORE) -> dict[str, Any]:
    """The same without a server; one that runs on the same data directory takes the outcome over."""
    async with opened(settings) as own:
        place = own.stores.named(name)
        return await StorageProbe(place, verdict_of(own.root, place)).test()
