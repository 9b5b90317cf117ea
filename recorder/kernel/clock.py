"""Clocks: pure code takes `now` as an argument; only edges hold a Clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock for intervals and a UTC clock for what people read."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def utc_now(self) -> datetime:
        """The civil time, aware, UTC."""
        ...


class SystemClock:
    """The machine's clocks. CLOCK_MONOTONIC is the same in every process of one machine."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to: for schedules in tests and simulations."""

    def __init__(self, *, monotonic_ns: int = 0, utc: datetime | None = None) -> None:
        self._monotonic_ns = monotonic_ns
        self._utc = utc or datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def utc_now(self) -> datetime:
        return self._utc

    def advance(self, seconds: float) -> None:
        """Move both clocks forward; a negative amount is refused."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._monotonic_ns += round(seconds * 1e9)
        self._utc += timedelta(seconds=seconds)
