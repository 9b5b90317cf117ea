"""The mixer: decoded sound laid onto the recording's 48 kHz clock, sample by sample, and added up.

Each source is a Voice with a cursor on the output. Consecutive packets are laid end to end, a gap in their
RTP timestamps is a gap in the output, and the distance between the cursor and where the timeline wants the
sound is drift: it is worked off by stretching packets a little, never by a jump, while the source keeps
sending. Only a timeline that really moved (or a pause long enough that nobody hears it) sets the cursor
anew. What was read out is gone: nothing is placed before it, and no sample of a source is placed twice.
Pure; positions are in samples.
"""

from collections import Counter

import numpy as np
import numpy.typing as npt

from media.audio.resampler import stretched

RATE = 48_000
AHEAD_SAMPLES_MAX = 2 * RATE  # how far before the reading a voice may place sound: a step and a long packet
DRIFT_TOLERATED_SAMPLES = 96  # 2 ms: below it packets are copied bit by bit
DRIFT_SETTLED_SAMPLES = 12  # 0.25 ms: here stretching ends
STRETCH_PER_MILLE = 6  # a little more than the timeline's own slewing, so that it can be followed
RESYNC_SAMPLES = 4_800  # 100 ms off is not drift but a timeline that moved
FADE_SAMPLES = 96  # 2 ms: where sound begins in the middle of a wave, it does not click
LIMIT_KNEE = 0.8  # of full scale: below it the mix is untouched

Samples = npt.NDArray[np.float32]  # [channels, n]


class Mix:
    """The sum of all voices from `position` on; what is read is softly limited to full scale."""

    def __init__(self, channels: int) -> None:
        self.position = 0
        self._sum = np.zeros((channels, AHEAD_SAMPLES_MAX), dtype=np.float32)
        self._used = 0

    def add(self, start: int, samples: Samples) -> int:
        """Add sound at `start`; return how many samples did not fit (already read, or too far ahead)."""
        offset = start - self.position
        skip = min(max(0, -offset), samples.shape[1])
        offset += skip
        count = max(0, min(samples.shape[1] - skip, AHEAD_SAMPLES_MAX - offset))
        if count:
            self._sum[:, offset : offset + count] += samples[:, skip : skip + count]
            self._used = max(self._used, offset + count)
        return int(samples.shape[1] - count)

    def read(self, until: int) -> Samples:
        """Return [channels, until - position] and move on; silence where no voice was."""
        count = until - self.position
        if not 0 <= count <= AHEAD_SAMPLES_MAX:
            raise ValueError(f"cannot read {count} samples at once")
        out = self._sum[:, :count].copy()
        rest = max(0, self._used - count)
        if self._used:
            self._sum[:, :rest] = self._sum[:, count : count + rest].copy()
            self._sum[:, rest : self._used] = 0.0
        self._used = rest
        self.position = until
        return _limited(out)


class MixerInput:
    """One source's place in the mix."""

    def __init__(self, mix: Mix) -> None:
        self.dropped: Counter[str] = Counter()
        self.stretched_samples = 0
        self._mix = mix
        self._next_rtp: int | None = None
        self._end: int | None = None  # behind the last sample that was placed
        self._correcting = False

    def missing(self, rtp_timestamp: int) -> int:
        """Samples between the end of what was put and this timestamp; 0 when it follows on or is new."""
        return 0 if self._next_rtp is None else max(0, rtp_timestamp - self._next_rtp)

    def earliest(self, rtp_timestamp: int, wanted: int) -> int:
        """Where sound with this timestamp may begin: a voice that is behind the timeline begins sooner."""
        if self._end is None or self._next_rtp is None:
            return wanted
        cursor = self._end + max(0, rtp_timestamp - self._next_rtp)
        return min(cursor, wanted) if abs(wanted - cursor) < RESYNC_SAMPLES else wanted

    def begin_anew(self) -> None:
        """The next packet belongs to another RTP timeline."""
        self._next_rtp = None

    def put(self, rtp_timestamp: int, wanted: int, samples: Samples) -> None:
        """Place one packet: its RTP timestamp, where the timeline wants it on the output, and its sound."""
        length = samples.shape[1]
        gap = 0 if self._next_rtp is None else rtp_timestamp - self._next_rtp
        if gap < 0:
            repeated = min(length, -gap)
            self.dropped["audio_repeated_samples"] += repeated
            samples, wanted, gap = samples[:, repeated:], wanted + repeated, 0
            if repeated == length:
                return
        fresh = self._next_rtp is None
        self._next_rtp = rtp_timestamp + length
        start, samples = self._placed(wanted, gap, samples, fresh=fresh)
        self._end = start + samples.shape[1]
        if lost := self._mix.add(start, samples):
            self.dropped["audio_late_samples"] += lost

    def _placed(self, wanted: int, gap: int, samples: Samples, *, fresh: bool) -> tuple[int, Samples]:
        if self._end is None:
            return wanted, _faded_in(samples)
        cursor = self._end + gap
        error = wanted - cursor
        if fresh or gap >= RESYNC_SAMPLES or abs(error) >= RESYNC_SAMPLES:
            return self._resynced(wanted, samples)
        if gap:
            samples = _faded_in(samples)
        return cursor, self._corrected(error, samples)

    def _resynced(self, wanted: int, samples: Samples) -> tuple[int, Samples]:
        self._correcting = False
        end = self._end or 0
        overlap = min(samples.shape[1], max(0, end - wanted))
        if overlap:
            self.dropped["audio_overlapping_samples"] += overlap
        return max(wanted, end), _faded_in(samples[:, overlap:])

    def _corrected(self, error: int, samples: Samples) -> Samples:
        distance = abs(error)
        if distance <= DRIFT_SETTLED_SAMPLES:
            self._correcting = False
        elif distance > DRIFT_TOLERATED_SAMPLES:
            self._correcting = True
        if not self._correcting:
            return samples
        stretch = min(distance, max(1, samples.shape[1] * STRETCH_PER_MILLE // 1000))
        self.stretched_samples += stretch
        return stretched(samples, stretch if error > 0 else -stretch)


_FADE: Samples = np.linspace(0.0, 1.0, FADE_SAMPLES, dtype=np.float32)


def _faded_in(samples: Samples) -> Samples:
    count = min(FADE_SAMPLES, samples.shape[1])
    faded = samples.copy()
    faded[:, :count] *= _FADE[:count]
    return faded


def _limited(samples: Samples) -> Samples:
    """Bend what is over the knee towards full scale: without memory, so block borders do not matter."""
    if samples.size == 0 or max(samples.max(), -samples.min()) <= LIMIT_KNEE:
        return samples
    room = 1.0 - LIMIT_KNEE
    size = np.abs(samples)
    bent = LIMIT_KNEE + room * np.tanh((size - LIMIT_KNEE) / room)
    limited: Samples = np.where(size <= LIMIT_KNEE, samples, np.copysign(bent, samples)).astype(np.float32)
    return limited
