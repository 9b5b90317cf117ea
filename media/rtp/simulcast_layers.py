"""Simulcast layers (RFC 8853): the best that is being received is recorded."""

from collections.abc import Iterable

from media.handover.encoded_frame import EncodedFrame
from media.rtp.ssrc_receiver import SsrcReceiver

DECISION_NS = 1_000_000_000
BETTER_FACTOR = 1.3  # a layer must carry this much more to be worth a change of resolution


class LayerChoice:
    """Compares the layers' bytes over DECISION_NS windows; a change happens at a key frame of the new layer.

    Resolutions are not signalled, and all layers show the same: the one with most bytes is the best.
    """

    def __init__(self) -> None:
        self.wanted: SsrcReceiver | None = None
        self._decided_ns: int | None = None
        self._counted: dict[int, int] = {}

    def decide(self, now_ns: int, sources: Iterable[SsrcReceiver], active: SsrcReceiver | None) -> bool:
        """Once per window: choose. True when the wanted layer is not the active one and needs a key frame."""
        if self._decided_ns is None:
            self._decided_ns = now_ns
        if now_ns - self._decided_ns < DECISION_NS:
            return False
        self._decided_ns = now_ns
        rates = {source: source.bytes - self._counted.get(source.ssrc, 0) for source in sources}
        self._counted = {source.ssrc: source.bytes for source in rates}
        if not rates:
            return False
        best = max(rates, key=lambda source: rates[source])
        enough = BETTER_FACTOR * rates.get(active, 0) if active is not None else 0
        self.wanted = best if best is not active and rates[best] > enough else None
        return self.wanted is not None

    def takes_over(self, source: SsrcReceiver, frame: EncodedFrame) -> bool:
        """Whether this frame of an inactive layer makes it the active one."""
        if source is not self.wanted or not frame.keyframe:
            return False
        self.wanted = None
        return True
