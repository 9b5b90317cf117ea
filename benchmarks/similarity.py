"""How much of what was sent is left in the file: SSIM of each tile against the sent picture that it shows."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from media.video.layout import Rectangle
from media.video.scaler import Samples, planes
from tests.support.similarity import ssim

EVERY = 20  # pictures of the file: SSIM in numpy costs more than coding
GRAIN = 8  # px; candidates are told apart by one sample in so many in each direction
SKIPPED_S = 3.0  # of the file: until everybody has a picture


def similarity(recording: Path, sent: list[tuple[Path, Rectangle]]) -> float:
    """Mean luma SSIM; each area holds, unscaled, the top of a picture of its file: names are left out."""
    coarse = [
        np.stack([_coarse(luma[: area.height]) for _, luma in _timed_lumas(path)]) for path, area in sent
    ]
    shown: list[dict[int, list[Samples]]] = [{} for _ in sent]  # by number of the sent picture
    for number, (at_s, luma) in enumerate(_timed_lumas(recording)):
        if at_s < SKIPPED_S or number % EVERY:
            continue
        for (_, area), candidates, pairs in zip(sent, coarse, shown, strict=True):
            tile = luma[area.y : area.y + area.height, area.x : area.x + area.width].copy()
            best = int(np.abs(candidates - _coarse(tile)).mean(axis=(1, 2)).argmin())
            pairs.setdefault(best, []).append(tile)
    found = []
    for (path, area), pairs in zip(sent, shown, strict=True):
        for number, (_, original) in enumerate(_timed_lumas(path)):
            found += [ssim(original[: area.height], tile) for tile in pairs.get(number, [])]
    return float(np.mean(found))


def _coarse(luma: Samples) -> npt.NDArray[np.int16]:
    height, width = (length // 40 * 40 for length in luma.shape)
    return luma[:height:GRAIN, :width:GRAIN].astype(np.int16)


def _timed_lumas(path: Path) -> Iterator[tuple[float, Samples]]:
    with av.open(str(path), "r") as container:
        for picture in container.decode(video=0):
            yield picture.time or 0.0, planes(picture).y
