"""libopus, called directly: libav's decoders offer neither FEC nor concealment (RFC 6716, 2.1.7).

The library is the one that PyAV's wheel brings, else the system's. This is the only file that knows its C
interface.
"""

import ctypes
import ctypes.util
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recorder.kernel.errors import BystanderError, Fault

RATE = 48_000  # Hz; Opus counts in it whatever the bandwidth is
PACKET_SAMPLES_MAX = 5_760  # 120 ms, the longest packet

Samples = npt.NDArray[np.float32]  # [channels, n], -1 to 1


class OpusError(Exception):
    """libopus refused a packet."""


class OpusDecoder:
    """One Opus stream's state; not thread-safe. Every call returns float32 [channels, n] at 48 kHz."""

    def __init__(self, channels: int) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._state = self._library.opus_decoder_create(RATE, channels, ctypes.byref(error))
        if error.value != 0 or not self._state:
            raise BystanderError(
                "opus_unavailable", "An Opus decoder cannot be made.", fault=Fault.RESOURCE, status=503
            )
        self._channels = channels
        self._pcm = np.empty(PACKET_SAMPLES_MAX * channels, dtype=np.float32)
        self._pcm_at = self._pcm.ctypes.data

    def decode(self, packet: bytes) -> Samples:
        """Decode one packet."""
        return self._decode(packet, PACKET_SAMPLES_MAX, fec=False)

    def recover(self, next_packet: bytes, samples: int) -> Samples:
        """What was lost just before `next_packet`, from its forward error correction, else concealed."""
        return self._decode(next_packet, samples, fec=True)

    def conceal(self, samples: int) -> Samples:
        """Continue the sound over a loss of `samples`, fading out; a multiple of 2.5 ms."""
        return self._decode(None, samples, fec=False)

    def _decode(self, packet: bytes | None, samples: int, *, fec: bool) -> Samples:
        size = len(packet) if packet is not None else 0
        count = self._library.opus_decode_float(self._state, packet, size, self._pcm_at, samples, int(fec))
        if count < 0:
            raise OpusError(f"libopus error {count}")
        block = self._pcm[: count * self._channels].reshape(count, self._channels)
        return np.ascontiguousarray(block.T) if self._channels > 1 else block.T.copy()

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state:
            self._library.opus_decoder_destroy(state)


def packet_samples(packet: bytes) -> int:
    """Length of a packet in samples at 48 kHz, by its first byte (RFC 6716, 3.1); 0 when malformed."""
    if not packet:
        return 0
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = (480, 960, 1920, 2880)[configuration & 3]
    elif configuration < 16:
        frame = (480, 960)[configuration & 1]
    else:
        frame = (120, 240, 480, 960)[configuration & 3]
    counted = packet[1] & 63 if len(packet) > 1 else 0
    samples = frame * (1, 2, 2, counted)[code]
    return samples if samples <= PACKET_SAMPLES_MAX else 0


def carries_correction(packet: bytes) -> bool:
    """Whether a packet holds what was before it as well, coded with less (RFC 6716, 4.2.4).

    Read of packets with one frame or two: with three, as those of 60 ms may be, it is taken to hold none.
    """
    configuration, code = packet[0] >> 3, packet[0] & 3
    start = 1 if code < 2 else 2 + (packet[1:2] >= b"\xfc")  # behind the length of the first of two
    if len(packet) <= start or configuration >= 16 or code == 3:
        return False
    silk_frames = (1, 1, 2, 3)[configuration & 3] if configuration < 12 else 1
    flags = packet[start] >> (7 - silk_frames) & 1
    if packet[0] & 4:  # stereo: the side channel has flags of its own
        flags |= packet[start] >> max(0, 6 - 2 * silk_frames) & 1
    return bool(flags)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(library_path())
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.c_void_p]
    library.opus_decode_float.restype = ctypes.c_int
    library.opus_decode_float.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.opus_decoder_destroy.restype = None
    library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    return library


def library_path() -> str:
    """The file of libopus: the one that PyAV brings, else the system's."""
    spec = find_spec("av")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent.parent / "av.libs"
        for path in sorted(bundled.glob("libopus-*")):
            return str(path)
    system = ctypes.util.find_library("opus")
    if system is None:
        raise BystanderError(
            "opus_unavailable", "libopus is not installed.", fault=Fault.RESOURCE, status=503
        )
    return system
