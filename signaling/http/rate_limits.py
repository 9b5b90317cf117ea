"""Rate limits: token buckets, one for each key, participant and address. Pure.

A request is counted before anything is looked up for it. A token that was good a while ago is counted by
whose it is; whatever shows none, a wrong one, or one that is seen for the first time is counted by address.
So neither guessing nor a public page that is asked for without end costs more than it may.
"""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass

from recorder.kernel.errors import BystanderError, Fault
from signaling.ports import Caller

TOKENS_MAX = 10_000  # that were good lately, by their digests
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
    page: RateLimit = RateLimit(burst=1_000, per_s=250)  # a room's page is some twenty small files


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

    def give_back(self) -> None:
        """What was taken last is counted elsewhere."""
        self._left = min(float(self._limit.burst), self._left + 1)


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

    def give_back(self, who: str) -> None:
        """Of this one's bucket, where it is remembered."""
        if (bucket := self._buckets.get(who)) is not None:
            bucket.give_back()


@dataclass(frozen=True, slots=True)
class EntryPointCaller:
    """Who shows an entry point's own token: a call service, with a share as an API key has."""

    entry_point: str

    @property
    def is_api_key(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return f"entry point {self.entry_point}"


class Gate:
    """All limits of one server, in the order in which a request meets them: `arrive`, then `recognised`."""

    def __init__(self, limits: RateLimits) -> None:
        self._keys = Buckets(limits.key)
        self._participants = Buckets(limits.participant)
        self._addresses = Buckets(limits.address)
        self._pages = Buckets(limits.page)
        self._good: OrderedDict[bytes, tuple[Buckets, str]] = OrderedDict()

    def arrive(self, address: str, token: str | None, now_ns: int) -> None:
        """Before anything is looked up; raises RateLimitedError (429)."""
        known = None if token is None else self._good.get(_digest(token))
        buckets, who = known or (self._addresses, address)
        buckets.take(who, now_ns)

    def page(self, address: str, now_ns: int) -> None:
        """A file of a page, which comes from memory."""
        self._pages.take(address, now_ns)

    def recognised(self, address: str, token: str, caller: Caller | EntryPointCaller, now_ns: int) -> None:
        """The token is good. Seen for the first time it was counted by address, and is counted anew."""
        digest = _digest(token)
        if digest in self._good:
            self._good.move_to_end(digest)
            return
        buckets = self._keys if caller.is_api_key else self._participants
        self._good[digest] = buckets, caller.name
        if len(self._good) > TOKENS_MAX:
            self._good.popitem(last=False)
        self._addresses.give_back(address)
        buckets.take(caller.name, now_ns)

    def unrecognised(self, token: str) -> None:
        """The token is good no longer: what shows it again is counted by address."""
        self._good.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=16).digest()
