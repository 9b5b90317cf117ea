"""What a recording sounds like at an instant: which of the participants' tones are in it."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.participants import TONE_LEVEL

_AROUND_S = 0.5
_COHERENT_S = 0.025  # sound that is being stretched by 0.5 % loses its phase over longer times, not its tone


@dataclass(frozen=True)
class Soundtrack:
    """All of a file's sound as mono, full scale 1.0."""

    samples: NDArray[np.float32]
    rate: int

    def has(self, hertz: int, at_s: float) -> bool:
        """Whether a participant's tone is in the half second around an instant."""
        begin = max(0, round((at_s - _AROUND_S / 2) * self.rate))
        around = self.samples[begin : begin + round(_AROUND_S * self.rate)]
        carrier = np.exp(-2j * np.pi * hertz / self.rate * np.arange(len(around)))
        window = round(_COHERENT_S * self.rate)
        pieces = (around * carrier)[: len(around) // window * window].reshape(-1, window)
        return bool(2 * np.mean(np.abs(pieces.mean(axis=1))) > TONE_LEVEL / 2)


def soundtrack(path: Path) -> Soundtrack:
    """Decode the sound of a file that has no gap in it."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
        return Soundtrack(np.concatenate(frames).astype(np.float32), container.streams.audio[0].rate)
