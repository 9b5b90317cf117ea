"""A clock that jumps ahead deletes nothing: it is confirmed by the store, or by a day beside the monotonic
clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.deletion.clock_watch import FILE, ClockWatch
from recorder.kernel.clock import ManualClock
from storage.stores.memory import MemoryStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR_S = 3600


class Jumping(ManualClock):
    """A clock whose wall time somebody sets."""

    def set_ahead(self, days: float) -> None:
        self._utc += timedelta(days=days)


class TellingStore(MemoryStore):
    """A store that tells its own time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    async def server_time(self) -> datetime:
        return self.clock.utc_now()


@pytest.fixture
def clock() -> Jumping:
    return Jumping(utc=NOW)


async def test_a_clock_that_goes_is_trusted(tmp_path: Path, clock: Jumping) -> None:
    watch = ClockWatch(clock, MemoryStore(), tmp_path / FILE)
    for _ in range(48):
        assert await watch.doubt() is None
        clock.advance(HOUR_S)


async def test_a_jump_stops_deleting_until_a_day_has_passed(tmp_path: Path, clock: Jumping) -> None:
    watch = ClockWatch(clock, MemoryStore(), tmp_path / FILE)
    assert await watch.doubt() is None
    clock.set_ahead(400)
    for _ in range(24):
        assert await watch.doubt() == "clock_jumped"
        clock.advance(HOUR_S)
    clock.advance(HOUR_S)
    assert await watch.doubt() is None


async def test_a_restart_with_another_clock_is_noticed(tmp_path: Path, clock: Jumping) -> None:
    assert await ClockWatch(clock, MemoryStore(), tmp_path / FILE).doubt() is None
    clock.set_ahead(6)
    assert await ClockWatch(clock, MemoryStore(), tmp_path / FILE).doubt() is None
    clock.set_ahead(8)
    assert await ClockWatch(clock, MemoryStore(), tmp_path / FILE).doubt() == "clock_jumped"


async def test_the_store_has_the_last_word(tmp_path: Path, clock: Jumping) -> None:
    right = Jumping(utc=NOW)
    store = TellingStore(right)
    watch = ClockWatch(clock, store, tmp_path / FILE)
    clock.set_ahead(400)
    assert await watch.doubt() == "clock_jumped"
    clock.advance(30 * HOUR_S)
    right.advance(30 * HOUR_S)
    assert await watch.doubt() == "clock_jumped"
    right.set_ahead(400)
    assert await watch.doubt() is None


async def test_a_damaged_note_is_no_permission(tmp_path: Path, clock: Jumping) -> None:
    (tmp_path / FILE).write_bytes(b"")
    assert await ClockWatch(clock, MemoryStore(), tmp_path / FILE).doubt() == "clock_jumped"
