"""The table behind media.audio.encoder's AAC coder: fidelity, size and CPU of libav's two coders.

Run: python -m benchmarks.sound_table (a few seconds; the voice wants espeak-ng).
"""

import shutil
import subprocess
import time
import wave
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.codec.context import Flags

RATE = 48_000
FRAME = 1024
BITRATES = (48_000, 64_000, 80_000)
AUDIBLE = 0.01  # RMS below which a frame counts as silence
SENTENCE = "The quick brown fox jumps over the lazy dog, and she sells sea shells by the sea shore. " * 2
Samples = npt.NDArray[np.float32]


def sounds() -> dict[str, Samples]:
    """What is coded: mono, float, 48 kHz."""
    at = np.arange(4 * RATE) / RATE
    chord = np.sum([0.15 * np.sin(2 * np.pi * hertz * at) for hertz in (220, 331, 445, 1333)], axis=0)
    found = {
        "tone": (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32),
        "chord": chord.astype(np.float32),
    }
    if shutil.which("espeak-ng"):
        voice = _voice()
        noise = np.random.default_rng(1).normal(0, 0.002, voice.size).astype(np.float32)
        found |= {"voice": voice, "two voices in noise": 0.6 * (voice + np.roll(voice, 60_000)) + noise}
    return found


def _voice() -> Samples:
    spoken = subprocess.run(["espeak-ng", "--stdout", SENTENCE], check=True, capture_output=True).stdout
    with wave.open(BytesIO(spoken)) as file:
        rate, raw = file.getframerate(), np.frombuffer(file.readframes(1 << 24), np.int16)
    at = np.arange(raw.size * RATE // rate) * rate / RATE
    resampled: Samples = (np.interp(at, np.arange(raw.size), raw) / 32768).astype(np.float32)
    return resampled


def measure(sound: Samples, coder: str, bitrate: int) -> str:
    """Median and 5th percentile of the frames' signal-to-noise ratio, bit rate used, CPU of a core."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "fltp"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, RATE)
    encoder.flags |= Flags.global_header
    encoder.options = {"aac_coder": coder}
    encoder.open()
    frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
    frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
    before = time.process_time()
    packets: list[av.Packet[AudioStream]] = encoder.encode(frame) + encoder.encode(None)
    cpu = (time.process_time() - before) * RATE / sound.size
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = encoder.extradata
    heard = np.concatenate([one.to_ndarray()[0] for packet in packets for one in decoder.decode(packet)])
    heard = heard[encoder.frame_size :]  # priming
    count = min(heard.size, sound.size) // FRAME
    signal, error = (
        np.sqrt((part[: count * FRAME].reshape(count, FRAME) ** 2).mean(axis=1)) + 1e-9
        for part in (sound, heard[: sound.size] - sound[: heard.size])
    )
    ratio = 20 * np.log10(signal / error)[2:-2][signal[2:-2] > AUDIBLE]
    rate = sum(packet.size for packet in packets) * 8 * RATE / sound.size / 1000
    return f"{np.median(ratio):.0f} / {np.percentile(ratio, 5):.0f} dB, {rate:.0f} kbit/s, {cpu:.2%}"


def main() -> None:
    found = sounds()
    print("| coder, bit rate asked for | " + " | ".join(found) + " |")
    print("|---|" + "---|" * len(found))
    for coder in ("twoloop", "fast"):
        for bitrate in BITRATES:
            cells = [measure(sound, coder, bitrate) for sound in found.values()]
            print(f"| {coder}, {bitrate // 1000}k | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
