"""Onsets of flashes and beeps, found in decoded pictures' brightness and decoded sound. Pure."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

PAIR_S_MAX = 0.5  # half the usual second between two flashes: beyond that, pairs cannot be told
CONTRAST_MIN = 30.0  # of 255 levels between dark and flash; coding noise is under 5
PARTLY_LIT = 0.1  # of the contrast: a picture below is dark, one above the complement is lit
TONE_LEVEL_MIN = 0.005  # of full scale; -46 dB
TONE_OVER_NOISE_MIN = 4.0
TONE_WINDOW_S = 0.01  # its band is +-100 Hz; its ramp crosses half exactly at the onset
SUSTAINED_MIN = 0.25  # of the loudest: the edge of another tone leaks into this one's band, but does not last
EVENT_SPACING_S = 0.25  # two flashes or beeps are never closer


def flash_times(times_s: Values, brightness: Values) -> list[float]:
    """Return when flashes begin, from the mean brightness (0 to 255) of pictures shown at `times_s`.

    A picture is taken for what its source saw until the next one: one lit to 30 % began to be lit after
    70 % of its time. So the estimate is finer than a picture where the source integrates light, and the
    first lit picture's own time where it does not.
    """
    if len(times_s) < 2:
        return []
    dark, lit = float(np.median(brightness)), float(np.max(brightness))
    if lit - dark < CONTRAST_MIN:
        return []
    levels = np.clip((brightness - dark) / (lit - dark), 0.0, 1.0)
    rising = np.flatnonzero((levels[1:] >= 0.5) & (levels[:-1] < 0.5)) + 1
    return _spaced([_edge(times_s, levels, int(index)) for index in rising])


def _edge(times_s: Values, levels: Values, index: int) -> float:
    """Return the instant within the first picture that is at least partly lit; `index` is over half lit."""
    first = index - 1 if levels[index - 1] > PARTLY_LIT else index
    level = 1.0 if levels[first] > 1.0 - PARTLY_LIT else float(levels[first])
    follows = times_s[first + 1] if first + 1 < len(times_s) else times_s[first]
    return float(times_s[first] + (1.0 - level) * (follows - times_s[first]))


def beep_times(sound: NDArray[np.float32], rate: int, *, hertz: float = 1000.0) -> list[float]:
    """Return when tones of `hertz` begin, in seconds from the first sample of mono sound (full scale 1.0)."""
    level = tone_level(sound, rate, hertz)
    loudest = float(level.max(initial=0.0))
    if loudest < TONE_LEVEL_MIN or loudest < TONE_OVER_NOISE_MIN * float(np.median(level)):
        return []
    over = level >= 0.5 * loudest
    rising = np.flatnonzero(over[1:] & ~over[:-1]) + 1
    onsets = (_onset(level, int(index), rate, SUSTAINED_MIN * loudest) for index in rising)
    return _spaced([onset for onset in onsets if onset is not None])


def tone_level(sound: NDArray[np.float32], rate: int, hertz: float) -> Values:
    """Return the amplitude of one frequency around each sample: demodulated, averaged over TONE_WINDOW_S."""
    window = round(TONE_WINDOW_S * rate)
    if len(sound) < window:
        return np.zeros(0)
    carrier = np.exp(-2j * np.pi * hertz / rate * np.arange(len(sound)))
    sums = np.concatenate(([0.0], np.cumsum(sound * carrier)))
    averages = 2.0 * np.abs(sums[window:] - sums[:-window]) / window
    before = window // 2
    return np.pad(averages, (before, len(sound) - len(averages) - before))


def _onset(level: Values, index: int, rate: int, sustained: float) -> float | None:
    """Return where the level crosses half of what the tone holds after `index`; None for a click."""
    window = round(TONE_WINDOW_S * rate)
    held = level[index + window : index + 3 * window]
    if len(held) < window or float(np.median(held)) < sustained:
        return None
    start = max(0, index - window)
    crossed = np.flatnonzero(level[start : index + window] >= 0.5 * np.median(held))
    return (start + int(crossed[0])) / rate


def _spaced(times_s: list[float]) -> list[float]:
    """Keep the first of times that are closer than EVENT_SPACING_S."""
    kept: list[float] = []
    for time_s in times_s:
        if not kept or time_s - kept[-1] >= EVENT_SPACING_S:
            kept.append(time_s)
    return kept


def paired_offsets(flashes_s: list[float], beeps_s: list[float]) -> list[float]:
    """Return beep minus flash for each flash that has a beep within PAIR_S_MAX, the nearest one."""
    offsets = []
    for flash_s in flashes_s:
        nearest = min((beep_s - flash_s for beep_s in beeps_s), key=abs, default=None)
        if nearest is not None and abs(nearest) < PAIR_S_MAX:
            offsets.append(nearest)
    return offsets
