"""Encoder of sound: AAC in the form that ISO/IEC 14496-3 puts into an MP4.

docs/encoding.md says why this coder.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from recorder.kernel.errors import BystanderError, Fault

AAC_CODER = "fast"  # a third of two-loop's CPU, and no glitches on tones
AAC_FRAME_SAMPLES = 1024
_LAYOUTS = {1: "mono", 2: "stereo"}
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """One AAC frame; `pts` and `duration` in samples."""

    data: bytes
    pts: int
    duration: int = AAC_FRAME_SAMPLES


class AudioEncoder:
    """libav's AAC-LC encoder, without the priming packet: the first packet stands at sample zero."""

    def __init__(self, *, rate: int = 48_000, channels: int, bitrate: int) -> None:
        if channels not in _LAYOUTS:
            raise ValueError("sound has one channel or two")
        self._layout = _LAYOUTS[channels]
        self._context = _aac_context(rate, self._layout, bitrate)
        self._rate = rate
        self._pts = 0

    @property
    def asc(self) -> bytes:
        """The AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1)."""
        return bytes(self._context.extradata or b"")

    def encode(self, samples: Sound) -> list[EncodedSound]:
        """Take float samples [channels, n] in -1..1 that follow the last ones; give the finished frames."""
        if samples.shape[1] == 0:
            return []
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._pts, Fraction(1, self._rate)
        self._pts += samples.shape[1]
        return _sounds(self._context.encode(frame))

    def flush(self) -> list[EncodedSound]:
        """Give the tail, padded with silence to whole frames; the encoder takes no more samples."""
        return _sounds(self._context.encode(None))


def _aac_context(rate: int, layout: str, bitrate: int) -> av.AudioCodecContext:
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = rate, layout, "fltp"
    context.bit_rate, context.time_base = bitrate, Fraction(1, rate)
    # bitexact: else the first frame carries libavcodec's name and version in a fill element.
    context.flags |= Flags.global_header | Flags.bitexact
    context.options = {"aac_coder": AAC_CODER}
    context.open()
    return context


def _sounds(packets: "list[av.Packet[Any]]") -> list[EncodedSound]:
    sounds = [EncodedSound(bytes(packet), _pts(packet)) for packet in packets]
    return [sound for sound in sounds if sound.pts >= 0]  # before zero: priming


def _pts(packet: "av.Packet[Any]") -> int:
    if packet.pts is None:
        raise BystanderError("packet_without_time", "An encoder lost a time.", fault=Fault.SERVER, status=500)
    return packet.pts
