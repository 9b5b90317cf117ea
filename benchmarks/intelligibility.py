"""STOI, the short-time objective intelligibility of speech (Taal and others, 2011): 1 is as it was sent.

A frame of one-third octave bands is held against what was sent, 384 ms at a time; what is silent in what was
sent says nothing.
"""

import numpy as np
import numpy.typing as npt

RATE = 10_000
WINDOW, HOP, SPECTRUM = 256, 128, 512
BANDS, LOWEST_HZ = 15, 150.0
FRAMES = 30  # 384 ms
QUIET_DB = 40.0  # so far below the loudest frame there is no speech
CLIPPING = 1 + 10 ** (15 / 20)  # a band is held to be no worse than -15 dB

Signal = npt.NDArray[np.float64]


def intelligibility(sent: Signal, heard: Signal, rate: int) -> float:
    """The STOI of what was heard at a sampling rate that is a multiple of 10 kHz or 48 kHz."""
    speech, copy = (_frames(_resampled(signal, rate)) for signal in (sent, heard))
    count = min(len(speech), len(copy))
    speech, copy = speech[:count], copy[:count]
    level_db = 20 * np.log10(np.linalg.norm(speech, axis=1) + 1e-12)
    spoken = level_db > level_db.max() - QUIET_DB
    bands, heard_bands = (_banded(frames[spoken]) for frames in (speech, copy))
    scores = [
        _correlation(bands[:, end - FRAMES : end], heard_bands[:, end - FRAMES : end])
        for end in range(FRAMES, bands.shape[1] + 1)
    ]
    return float(np.mean(scores))


def _correlation(sent: Signal, heard: Signal) -> float:
    level = np.linalg.norm(sent, axis=1, keepdims=True) / (
        np.linalg.norm(heard, axis=1, keepdims=True) + 1e-12
    )
    clipped = np.minimum(heard * level, sent * CLIPPING)
    sent, clipped = (part - part.mean(axis=1, keepdims=True) for part in (sent, clipped))
    norms = np.linalg.norm(sent, axis=1) * np.linalg.norm(clipped, axis=1) + 1e-12
    return float(((sent * clipped).sum(axis=1) / norms).mean())


def _frames(signal: Signal) -> Signal:
    window = np.hanning(WINDOW + 2)[1:-1]
    starts = range(0, len(signal) - WINDOW, HOP)
    return np.array([window * signal[start : start + WINDOW] for start in starts])


def _banded(frames: Signal) -> Signal:
    power = np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2
    hertz = np.fft.rfftfreq(SPECTRUM, 1 / RATE)
    centres = LOWEST_HZ * 2 ** (np.arange(BANDS) / 3)
    bands = [
        power[:, (hertz >= centre / 2 ** (1 / 6)) & (hertz < centre * 2 ** (1 / 6))].sum(axis=1)
        for centre in centres
    ]
    return np.sqrt(np.array(bands))


def _resampled(signal: Signal, rate: int) -> Signal:
    """To RATE: nothing above half of it, by leaving that out of the spectrum."""
    spectrum = np.fft.rfft(signal)
    length = len(signal) * RATE // rate
    return np.fft.irfft(spectrum[: length // 2 + 1], length) * length / len(signal)
