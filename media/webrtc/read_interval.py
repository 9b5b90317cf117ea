"""The read interval: how often received media is handed to the renderer, seldom enough to cost little.

Who wakes finds cold caches, which costs about as much whatever there is to do (docs/how/cost.md). So a batch
holds the work of five pictures of 1280x720 at least; where pictures are small or few, that takes longer. What
waits for its batch is lost when the worker is killed, hence the maximum.
"""

from math import ceil

from media.webrtc.network.udp import BEAT_S
from recorder.kernel.media import Canvas

BATCH_S_MIN = 0.2
BATCH_S_MAX = 0.6
BATCH_SAMPLES = 5 * 1280 * 720  # of luma
_ROUNDING = 1e-6


def batch_s(canvas: Canvas | None) -> float:
    """Return how long a batch is, in seconds, for pictures of this canvas or for sound alone.

    It is whole beats of the sockets, so that reading them and handing over take one wake-up.
    """
    if canvas is None:
        return BATCH_S_MIN
    wanted_s = BATCH_SAMPLES / (canvas.width * canvas.height * canvas.fps)
    beats = ceil(wanted_s / BEAT_S - _ROUNDING)
    return min(BATCH_S_MAX, max(BATCH_S_MIN, beats * BEAT_S))
