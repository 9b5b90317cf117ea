"""Stretching a block of sound by a few samples, so that a source's clock can be followed without a jump.

A block of n samples becomes n + stretch by cubic (Catmull-Rom) interpolation. The first and the last sample
keep their places, so blocks join without a step in the waveform, whatever the stretch of the next one is.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_TABLES_MAX = 64  # packet lengths in use times the stretches that the drift control asks for


def stretched(samples: Samples, stretch: int) -> Samples:
    """Return float32 [channels, n + stretch] of [channels, n]; as it is when nothing is to be done."""
    length = samples.shape[1]
    if stretch == 0 or length < 2 or length + stretch < 2:
        return samples
    taps, weights = _table(length, length + stretch)
    out: Samples = samples[:, taps[0]] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        out += samples[:, tap] * weight
    return out


@lru_cache(maxsize=_TABLES_MAX)
def _table(length: int, wanted: int) -> tuple[npt.NDArray[np.intp], Samples]:
    """Return for each output sample the four input indices and their weights, each [4, wanted]."""
    positions = np.linspace(0.0, length - 1.0, wanted)
    base = np.minimum(positions.astype(np.intp), length - 2)
    t = positions - base
    taps = np.clip(np.stack([base - 1, base, base + 1, base + 2]), 0, length - 1)
    weights = np.stack(
        [
            0.5 * (-t + 2 * t**2 - t**3),
            0.5 * (2 - 5 * t**2 + 3 * t**3),
            0.5 * (t + 4 * t**2 - 3 * t**3),
            0.5 * (-(t**2) + t**3),
        ]
    )
    return taps, weights.astype(np.float32)
