"""What a receiver made of a call: pictures, freezes, sync, and sound that was made up."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from media.check.onsets import beep_times, flash_times, paired_offsets

FREEZE_S = 0.15  # W3C webrtc-stats, freezeCount: so much longer than usual, and three times as long


@dataclass(frozen=True)
class Result:
    """Times in ms, parts of 1."""

    pictures: int
    freezes: int
    frozen_s: float
    beeps: int
    pairs: int
    p50: float
    p95: float
    worst: float
    concealed: float
    keyframes: int

    def __str__(self) -> str:
        return (
            f"{self.pictures:5} {self.freezes:3} {self.frozen_s:5.1f} {self.pairs:3}/{self.beeps:<3}"
            f"{self.p50:6.0f} {self.p95:5.0f} {self.worst:5.0f} {100 * self.concealed:5.1f}"
            f" {self.keyframes:3}"
        )


HEADER = "pict frz  s    A/V     p50   p95   max  conc%  key"


def judged(
    shown: list[tuple[float, float]],
    sound: np.ndarray[Any, np.dtype[np.float32]],
    sound_began_s: float,
    rate: int,
    concealed: float,
    keyframes: int,
) -> Result:
    """Measure what was shown (when, how bright) and heard."""
    times_s = np.array([at_s for at_s, _ in shown])
    gaps_s = np.diff(times_s) if len(times_s) > 1 else np.zeros(0)
    usual_s = float(np.median(gaps_s)) if len(gaps_s) else 0.0
    freezes = gaps_s[gaps_s > max(3 * usual_s, usual_s + FREEZE_S)]
    flashes = flash_times(times_s, np.array([level for _, level in shown]))
    beeps = [sound_began_s + at_s for at_s in beep_times(sound, rate)] if len(sound) else []
    offsets = 1e3 * np.abs(paired_offsets(flashes, beeps)) if flashes else np.zeros(0)
    p50, p95, worst = np.percentile(offsets, [50, 95, 100]) if len(offsets) else (np.nan,) * 3
    return Result(
        pictures=len(shown),
        freezes=len(freezes),
        frozen_s=float(freezes.sum()),
        beeps=len(beeps),
        pairs=len(offsets),
        p50=p50,
        p95=p95,
        worst=worst,
        concealed=concealed,
        keyframes=keyframes,
    )
