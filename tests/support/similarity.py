"""Structural similarity of two luma planes, the way x264 and FFmpeg's `ssim` filter compute it."""

import numpy as np
import numpy.typing as npt

_C1 = (0.01 * 255) ** 2 * 64
_C2 = (0.03 * 255) ** 2 * 64 * 63


def ssim(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Mean over all 8x8 windows at a step of 4; 1.0 is identity. Odd edges are left out."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    sum_a, sum_b = _windows(a), _windows(b)
    squares, product = _windows(a * a + b * b), _windows(a * b)
    variances = squares * 64 - sum_a * sum_a - sum_b * sum_b
    covariance = product * 64 - sum_a * sum_b
    similarity = ((2 * sum_a * sum_b + _C1) * (2 * covariance + _C2)) / (
        (sum_a * sum_a + sum_b * sum_b + _C1) * (variances + _C2)
    )
    return float(similarity.mean())


def _windows(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = (length // 4 * 4 for length in plane.shape)
    blocks: npt.NDArray[np.float32] = (
        plane[:height, :width].reshape(height // 4, 4, width // 4, 4).sum(axis=(1, 3))
    )
    pairs: npt.NDArray[np.float32] = blocks[:-1] + blocks[1:]
    return pairs[:, :-1] + pairs[:, 1:]
