"""The retry schedule of deliveries: when one that failed is tried again, and when it is given up. Pure."""

from datetime import datetime, timedelta

RETRY_PERIOD_S = 24 * 3600.0  # a receiver that is mended within a day misses nothing
RETRY_DELAY_INITIAL_S = 5.0  # a restart of the receiver
RETRY_DELAY_S_MAX = 2 * 3600.0  # after an outage, the news is at most this late
RETRY_FACTOR = 3.0  # 5 s, 15 s, 45 s, 2 min, 7 min, 20 min, 1 h, 2 h, 2 h, ...: some 19 attempts
_FACTORS_MAX = 30  # past the maximum delay; keeps the power finite


def retry_delay_s(attempts: int, chance: float) -> float:
    """Seconds to wait after `attempts` failures (from 1); `chance` in [0, 1) spreads half of it."""
    whole = RETRY_DELAY_INITIAL_S * RETRY_FACTOR ** min(attempts - 1, _FACTORS_MAX)
    return min(whole, RETRY_DELAY_S_MAX) * (0.5 + chance / 2)


def next_attempt(attempts: int, *, since: datetime, now: datetime, chance: float) -> datetime | None:
    """When to try again after `attempts` failures, the first of them due at `since`; None: give up.

    The last attempt is made at the end of the period itself, and none after it.
    """
    end = since + timedelta(seconds=RETRY_PERIOD_S)
    if now >= end:
        return None
    return min(now + timedelta(seconds=retry_delay_s(attempts, chance)), end)


def is_lost(failing_since: datetime, now: datetime) -> bool:
    """Whether a webhook that has failed since then, with not one success, is worth no further attempt."""
    return now - failing_since >= timedelta(seconds=RETRY_PERIOD_S)
