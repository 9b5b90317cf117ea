"""The verdict on one call: what a recorder promises, held against what was found."""

import math
from dataclasses import dataclass

from recorder.load.found import Found

# What the documents promise; a call that is worse in any of them is not good.
FOUND_MIN = 0.97  # of the pictures that were sent
GAP_S_MAX = 0.5
OFFSET_P95_S_MAX = 0.04
OFFSET_MAX_S = 0.1
START_S_MAX = 1.0
FIRST_PICTURE_S_MAX = 1.5
PAIRS_MIN = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one call, in seconds: asked to entry point; the slowest offer to connection; end to AVAILABLE.

    `first_media_s`: from the first connection to what the recording says was its first media.
    """

    start_s: float
    connect_s: float
    first_media_s: float
    available_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one call: `reasons` are stable words, none where it is good; NaN where nothing could be measured."""

    reasons: tuple[str, ...]
    expected: int
    found: int
    gap_s: float
    offset_p95_s: float
    offset_max_s: float

    @property
    def is_good(self) -> bool:
        return not self.reasons


def judge(found: Found, timing: Timing, *, has_pictures: bool) -> Verdict:
    """Hold one recording against the promises."""
    expected = sum(seen.expected for seen in found.seen.values())
    shown = sum(seen.found for seen in found.seen.values())
    gap_s = max((seen.gap_s for seen in found.seen.values()), default=math.nan)
    apart = sorted(abs(offset) for offset in found.offsets_s)
    p95 = apart[min(len(apart) - 1, math.ceil(0.95 * len(apart)) - 1)] if apart else math.nan
    worst = apart[-1] if apart else math.nan
    wrong = {
        "not_whole": not found.ok,
        "no_pictures": has_pictures and not expected,
        "pictures_missing": expected > 0 and shown < FOUND_MIN * expected,
        "gap": gap_s > GAP_S_MAX,
        "out_of_sync": p95 > OFFSET_P95_S_MAX or worst > OFFSET_MAX_S,
        "beeps_missing": has_pictures and len(apart) < min(PAIRS_MIN, found.flashes),
        "slow_start": timing.start_s > START_S_MAX,
        "late_picture": timing.first_media_s > FIRST_PICTURE_S_MAX,
    }
    reasons = tuple(reason for reason, holds in wrong.items() if holds)
    return Verdict(reasons, expected, shown, gap_s, p95, worst)
