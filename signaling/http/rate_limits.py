"""Rate limits: token buckets, one for each key, participant and address. Pure.

What shows a good token is counted by whose it is. What shows none, or a wrong one, is counted by address, so
that neither guessing nor a public page that is asked for without end costs more than it may.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from recorder.kernel.errors import BystanderError, Fault
from signaling.ports import Caller

CALLERS_MAX = 10_000  # buckets of each kind; the one that rested longest is full again, and goes first


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests at once, and so many more every second."""

    burst: int
    per_s: float

    def __post_init__(self) -> None:
        if self.burst < 1 or self.per_s <= 0:
            raise ValueError("a limit lets at least one request through, and some more later")


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits by name, as in the settings."""

    key: RateLimit = RateLimit(burst=400, per_s=200)
    participant: RateLimit = RateLimit(burst=60, per_s=20)
    address: RateLimit = RateLimit(burst=200, per_s=50)


class RateLimitedError(BystanderError):
    """429; `retry_after_s` whole seconds from now one more request is let through."""

    def __init__(self, retry_after_s: int) -> None:
        detail = f"Too many requests; the next one is answered in {retry_after_s} s."
        super().__init__("too_many_requests", detail, fault=Fault.CALLER, status=429)
        self.retry_after_s = retry_after_s


class TokenBucket:
    """Full at first; `take` at a monotonic time in nanoseconds, which never goes back."""

    __slots__ = ("_as_of_ns", "_left", "_limit")

    def __init__(self, limit: RateLimit, now_ns: int) -> None:
        self._limit = limit
        self._left = float(limit.burst)
        self._as_of_ns = now_ns

    def take(self, now_ns: int) -> float:
        """Zero: taken. Else the seconds until there is something to take."""
        refilled = (now_ns - self._as_of_ns) / 1e9 * self._limit.per_s
        self._left = min(float(self._limit.burst), self._left + refilled)
        self._as_of_ns = now_ns
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._limit.per_s


class Buckets:
    """One bucket for everybody whom one limit is for; CALLERS_MAX of them are remembered."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: str, now_ns: int) -> None:
        """Count one request; raises RateLimitedError (429) for one too many, which is not counted."""
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = TokenBucket(self._limit, now_ns)
            if len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(who)
        wait_s = bucket.take(now_ns)
        if wait_s > 0:
            raise RateLimitedError(math.ceil(wait_s))


class Gate:
    """All three limits of one server."""

    def __init__(self, limits: RateLimits) -> None:
        self._keys = Buckets(limits.key)
        self._participants = Buckets(limits.participant)
        self._addresses = Buckets(limits.address)

    def known(self, caller: Caller, now_ns: int) -> None:
        """A request of somebody who showed a good token."""
        buckets = self._keys if caller.is_api_key else self._participants
        buckets.take(caller.name, now_ns)

    def unknown(self, address: str, now_ns: int) -> None:
        """A request of somebody who showed none that is good."""
        self._addresses.take(address, now_ns)
