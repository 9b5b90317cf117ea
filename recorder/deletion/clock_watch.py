"""The watch over the wall clock before anything is deleted by it: a clock that jumped ahead makes
everything old.

What is compared: the wall clock with the monotonic one while a server runs, with what it was at the last
look when one starts, and both with the store's own time where the store tells it, which has the last word.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from storage.spool.durable_files import write_atomic
from storage.store import ObjectStore
from storage.stores.probe import Clocked

FILE = "retention-clock.json"
DRIFT_MAX = timedelta(minutes=15)  # between two clocks that are right
ABSENCE_MAX = timedelta(days=7)  # of a server; after a longer one its clock has to be confirmed
CONFIRMED_AFTER_S = 24 * 3600.0  # of running beside the monotonic clock, without a word from a store


class _Seen(msgspec.Struct, frozen=True):
    """The wall clock at the last look."""

    at: datetime


class ClockWatch:
    """One for each server; `file` outlives it."""

    def __init__(self, clock: Clock, store: ObjectStore, file: Path) -> None:
        self._clock = clock
        self._store = store
        self._file = file
        self._wall = clock.utc_now()
        self._monotonic_ns = self._began_ns = clock.monotonic_ns()
        self._suspected = False
        self._looked = False

    async def doubt(self) -> str | None:
        """Why nothing may be deleted by this clock now; None when it can be trusted."""
        now, monotonic_ns = self._clock.utc_now(), self._clock.monotonic_ns()
        passed = timedelta(microseconds=(monotonic_ns - self._monotonic_ns) / 1000)
        if now - self._wall - passed > DRIFT_MAX or await self._was_away_long(now):
            self._suspected, self._began_ns = True, monotonic_ns
        self._wall, self._monotonic_ns = now, monotonic_ns
        confirmed = await self._as_the_store_says(now)
        if confirmed is None:
            confirmed = not self._suspected or monotonic_ns - self._began_ns > CONFIRMED_AFTER_S * 1e9
        if not confirmed:
            return "clock_jumped"
        self._suspected = False
        await asyncio.to_thread(write_atomic, self._file, msgspec.json.encode(_Seen(now)))
        return None

    async def _was_away_long(self, now: datetime) -> bool:
        """Asked once: how long ago a server looked last, by the clock that it had."""
        if self._looked:
            return False
        self._looked = True
        seen = await asyncio.to_thread(self._last)
        return seen is not None and now - seen > ABSENCE_MAX

    def _last(self) -> datetime | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Seen).at
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, ValueError):  # then it has to be confirmed
            return datetime.fromtimestamp(0, UTC)

    async def _as_the_store_says(self, now: datetime) -> bool | None:
        """Whether the store has the same time; None where it does not say."""
        if not isinstance(self._store, Clocked):
            return None
        try:
            told = await self._store.server_time()
        except BystanderError:  # one that does not answer says nothing
            return None
        return None if told is None else abs(now - told) <= DRIFT_MAX
