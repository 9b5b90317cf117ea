"""Speech over a link that loses packets, by what the sender does about it: what is made up, how it sounds.

`python -m benchmarks.speech [loss in percent]`, held in simulated time. The recording is held against that of
the same speech over a link that loses nothing.
"""

import asyncio
import io
import sys
from dataclasses import dataclass
from functools import cache

import av
import numpy as np

from benchmarks.intelligibility import Signal, intelligibility
from media.handover.encoded_frame import Codec
from recorder.demo.voice import SAMPLE_RATE, Voice
from tests.support.live_call import LEAD_IN_S, PACKET_S, LiveCall, Script
from tests.support.lossy_link import Impairment
from tests.support.simulated_time import simulate

SECONDS = 30
SEED = 7
SETTLED_S = 1.0  # a call's very first packets may be lost before anybody knows that there are any
DELAY_S, JITTER_S = 0.05, 0.03


@dataclass(frozen=True)
class Means:
    """What a sender does about losses of its sound."""

    redundancy: int = 0
    fec: bool = False
    again: bool = False


@dataclass(frozen=True)
class Outcome:
    """Packets lost before concealment, the share of the sound that was made up, and how speech came out."""

    lost: int
    concealed: float
    stoi: float
    correlation: float

    def __str__(self) -> str:
        return f"{self.lost:5} {100 * self.concealed:7.2f} % {self.stoi:7.3f} {self.correlation:7.3f}"


WAYS = {
    "nothing": Means(),
    "FEC": Means(fec=True),
    "RED": Means(redundancy=1),
    "RED and FEC": Means(redundancy=1, fec=True),
    "RED of two and FEC": Means(redundancy=2, fec=True),
    "sent again": Means(again=True),
    "sent again, and FEC": Means(again=True, fec=True),
}


@cache
def packets(fec: bool) -> tuple[bytes, ...]:
    """The speech in Opus packets of 20 ms."""
    sound = Voice(120.0, 0, 3, beeps=False).render(SECONDS)
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "s16"
    encoder.options = {"fec": str(int(fec)), "packet_loss": "15" if fec else "0", "application": "voip"}
    encoder.bit_rate = 32_000
    coded = []
    for start in range(0, sound.size - 959, 960):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + 960], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(coded)


async def spoken(means: Means, loss: float) -> tuple[Signal, int, float]:
    """The sound of the recording, and packets and share of the sound that were lost."""
    link = Impairment(loss=loss, delay_s=DELAY_S, jitter_s=JITTER_S)
    script = Script(pictures=(), link=link, back=Impairment(delay_s=DELAY_S))
    async with LiveCall(seed=SEED) as call:
        publisher, _ = await call.join(script, sound_retransmission=means.again, redundancy=means.redundancy)
        assert publisher.sound is not None
        loop = asyncio.get_running_loop()
        zero_s = loop.time() + LEAD_IN_S
        for number, data in enumerate(packets(means.fec)):
            await asyncio.sleep(max(0.0, zero_s + (number + 1) * PACKET_S - loop.time()))
            await publisher.send(publisher.sound, Codec.OPUS, number * PACKET_S, data)
        await asyncio.sleep(1.5)
        recorded = await call.recorded()
    dropped = recorded.statistics.dropped
    lost = sum(participant.lost for participant in recorded.statistics.participants)
    concealed = dropped.get("audio_concealed_samples", 0) / (SAMPLE_RATE * SECONDS)
    with av.open(io.BytesIO(recorded.data), "r") as container:
        blocks = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float64), lost, concealed


def outcome(means: Means, loss: float) -> Outcome:
    """Hold the call with losses and without, and compare."""
    heard, lost, concealed = simulate(spoken(means, loss))
    sent, _, _ = simulate(spoken(means, 0.0))
    count = min(len(sent), len(heard))
    settled = slice(round(SETTLED_S * SAMPLE_RATE), count)
    sent, heard = _aligned(sent[settled], heard[settled])
    correlation = float(np.corrcoef(sent, heard)[0, 1])
    return Outcome(lost, concealed, intelligibility(sent, heard, SAMPLE_RATE), correlation)


def _aligned(sent: Signal, heard: Signal) -> tuple[Signal, Signal]:
    """The same but for how much later one recording began than the other."""
    size = 2 * len(sent)
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size)), size)
    later = int(product.argmax())
    later -= size if later > size // 2 else 0
    return (sent[: len(sent) - later], heard[later:]) if later >= 0 else (sent[-later:], heard[:later])


def main(loss: float) -> None:
    """Print the table."""
    print(f"{f'{100 * loss:.0f} % lost':22} lost   made up    STOI correlation")
    for name, means in WAYS.items():
        print(f"{name:22}{outcome(means, loss)}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) / 100 if len(sys.argv) > 1 else 0.10)
