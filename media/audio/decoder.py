"""Decoders of sound: one for each stream, with lost packets concealed.

They run on the thread that calls them, never on the event loop; what a stream sends costs frames of its own
only, counted by reason.
"""

from collections import Counter

import numpy as np

from media.audio.opus import OpusDecoder, OpusError, Samples, carries_correction, packet_samples

CONCEALED_SAMPLES_MAX = 5_760  # 120 ms: longer, and libopus has faded to silence anyway
_CONCEALMENT_STEP = 120  # 2.5 ms, the grain of Opus


class SoundDecoder:
    """Sound of one Opus stream: float32 [channels, n] at 48 kHz, with lost packets concealed."""

    def __init__(self, channels: int) -> None:
        self.dropped: Counter[str] = Counter()
        self.concealed_samples = 0
        self._channels = channels
        self._decoder = OpusDecoder(channels)
        self._packet_samples = 960

    def decode(self, data: bytes) -> Samples | None:
        """Return the packet's samples, or None when it cannot be decoded."""
        if packet_samples(data) == 0:
            self.dropped["audio_corrupt"] += 1
            return None
        try:
            samples = self._decoder.decode(data)
        except OpusError:
            self.dropped["audio_corrupt"] += 1
            return None
        self._packet_samples = samples.shape[1]
        return samples

    def bridge(self, missing: int, next_data: bytes) -> Samples:
        """Fill a loss of `missing` samples before `next_data`: concealment, then FEC for its last packet.

        At most CONCEALED_SAMPLES_MAX samples come back; they belong at the start of the loss.
        """
        length = min(missing, CONCEALED_SAMPLES_MAX) // _CONCEALMENT_STEP * _CONCEALMENT_STEP
        if length == 0:
            return np.zeros((self._channels, 0), dtype=np.float32)
        recoverable = self._packet_samples if length == missing and length >= self._packet_samples else 0
        try:
            pieces = []
            if length > recoverable:
                pieces.append(self._decoder.conceal(length - recoverable))
            if recoverable:
                pieces.append(self._decoder.recover(next_data, recoverable))
            corrected = recoverable if carries_correction(next_data) else 0
            if length > corrected:
                self.dropped["audio_concealed_samples"] += length - corrected
        except OpusError:
            self.dropped["audio_not_concealed"] += 1
            return np.zeros((self._channels, 0), dtype=np.float32)
        self.concealed_samples += length
        return np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
