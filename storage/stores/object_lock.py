"""Objects that may not be deleted yet: locked until a date, or held until somebody lifts the hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from recorder.kernel.errors import BystanderError, Fault
from storage.errors import LOCKED
from storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps an object: a date, a legal hold, or both."""

    until: datetime | None = None
    legal_hold: bool = False

    def keeps(self, now: datetime) -> bool:
        return self.legal_hold or (self.until is not None and self.until > now)


@runtime_checkable
class ObjectLocks(Protocol):
    """A store whose objects can be locked."""

    async def hold_of(self, key: str) -> Hold:
        """What keeps this object; nothing keeps one that is not there."""
        ...


async def check_deletable(store: ObjectStore, keys: Iterable[str], now: datetime) -> None:
    """Raise object_locked (409), naming the latest date, if any of these objects may not be deleted."""
    if not isinstance(store, ObjectLocks):
        return
    holds = [hold for key in keys if (hold := await store.hold_of(key)).keeps(now)]
    if not holds:
        return
    reasons = []
    if any(hold.legal_hold for hold in holds):
        reasons.append("under legal hold until that is lifted")
    dates = [hold.until for hold in holds if hold.until is not None and hold.until > now]
    if dates:
        reasons.append(f"locked until {max(dates).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    detail = f"The recording is {' and '.join(reasons)}; nothing was deleted."
    raise BystanderError(LOCKED, detail, fault=Fault.CALLER, status=409)
