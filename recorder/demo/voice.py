"""Voices made from arithmetic: a glottal buzz through vowel formants, and a beep on the second."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 48_000
BEEP_HZ = 1_000.0
BEEP_S = 0.08
_BEEP_LEVEL = 0.35
_VOICE_LEVEL = 0.25
_TURN_S = 3.0  # how long one person talks before the other does
_HARMONICS_BELOW_HZ = 4_000.0
_VOWELS = (  # formant frequencies in Hz: a e i o u
    (730.0, 1090.0, 2440.0),
    (530.0, 1840.0, 2480.0),
    (270.0, 2290.0, 3010.0),
    (570.0, 840.0, 2410.0),
    (300.0, 870.0, 2240.0),
)
_FORMANT_WIDTH_HZ = 110.0

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Voice:
    """One person's voice: `pitch_hz` of the buzz, `turn` 0 or 1 for who talks first, a seed for the words."""

    pitch_hz: float
    turn: int
    seed: int
    beeps: bool = True

    def render(self, seconds: int) -> Samples:
        """Mono 16-bit samples at SAMPLE_RATE; deterministic for equal fields."""
        speech = np.zeros(seconds * SAMPLE_RATE)
        rng = np.random.default_rng(self.seed)
        start_s = 0.0
        while start_s < seconds - 0.5:
            length_s = float(rng.uniform(0.12, 0.28))
            if int(start_s / _TURN_S) % 2 == self.turn:
                begin = round(start_s * SAMPLE_RATE)
                syllable = self._syllable(rng, length_s)
                speech[begin : begin + syllable.size] += syllable
            start_s += length_s + float(rng.uniform(0.02, 0.09))
        if self.beeps:
            _add_beeps(speech, seconds)
        return (np.clip(speech, -1, 1) * 32_767).astype(np.int16)

    def _syllable(self, rng: np.random.Generator, length_s: float) -> npt.NDArray[np.float64]:
        times = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
        glide = 1 + rng.uniform(-0.08, 0.08) * times / length_s
        phase = 2 * np.pi * self.pitch_hz * np.cumsum(glide) / SAMPLE_RATE
        formants = _VOWELS[int(rng.integers(len(_VOWELS)))]
        wave = np.zeros_like(times)
        for harmonic in range(1, int(_HARMONICS_BELOW_HZ / self.pitch_hz)):
            wave += _resonance(harmonic * self.pitch_hz, formants) / harmonic**0.5 * np.sin(harmonic * phase)
        envelope = np.sin(np.pi * times / length_s) ** 0.6
        loudest = float(np.max(np.abs(wave))) or 1.0
        return _VOICE_LEVEL * envelope * wave / loudest


def loudness(samples: Samples, at_s: float) -> float:
    """How open a mouth is at this time: 0 to 1, from the 40 ms around it."""
    begin = max(0, round((at_s - 0.02) * SAMPLE_RATE))
    window = samples[begin : begin + SAMPLE_RATE // 25].astype(np.float64)
    if window.size == 0:
        return 0.0
    return float(min(1.0, np.sqrt(np.mean(window**2)) / 4_000))


def _resonance(frequency_hz: float, formants: tuple[float, ...]) -> float:
    return sum(1 / (1 + ((frequency_hz - formant) / _FORMANT_WIDTH_HZ) ** 2) for formant in formants)


def _add_beeps(speech: npt.NDArray[np.float64], seconds: int) -> None:
    times = np.arange(round(BEEP_S * SAMPLE_RATE)) / SAMPLE_RATE
    beep = _BEEP_LEVEL * np.sin(2 * np.pi * BEEP_HZ * times)
    for second in range(seconds):
        begin = second * SAMPLE_RATE
        speech[begin : begin + beep.size] = beep
