"""Assemblers of frames: packets in order go in, each frame leaves with its last packet."""

from collections.abc import Callable
from typing import Protocol

from media.handover.encoded_frame import Codec, EncodedFrame
from media.rtp.depacketizers.av1 import Av1Depacketizer
from media.rtp.depacketizers.h264 import H264Depacketizer
from media.rtp.depacketizers.vp8 import Vp8Depacketizer
from media.rtp.depacketizers.vp9 import Vp9Depacketizer
from media.rtp.wire.packet import RtpPacket

_DEPACKETIZERS: dict[Codec, Callable[[], "Depacketizer"]] = {
    Codec.VP8: Vp8Depacketizer,
    Codec.VP9: Vp9Depacketizer,
    Codec.H264: H264Depacketizer,
    Codec.AV1: Av1Depacketizer,
}
FRAME_BYTES_MAX = 4 * 1024 * 1024  # an intra frame of a 4K screen is about 1 MiB

EmitFrame = Callable[[EncodedFrame], None]
CountDrop = Callable[[str], None]


class Assembler(Protocol):
    """Packets in ascending order in, frames out; `lost` packets were given up directly before this one."""

    def push(self, packet: RtpPacket, timestamp: int, lost: int) -> None: ...


class Depacketizer(Protocol):
    """One codec's payload format. Payloads are not empty."""

    def starts_frame(self, payload: bytes) -> bool: ...
    def continues(self, payload: bytes, lost: int) -> bool: ...
    def add(self, payload: bytes) -> bool: ...
    def finish(self) -> tuple[bytes, bool] | None: ...
    def clear(self) -> None: ...


class AudioAssembler:
    """Opus (RFC 7587): each packet is a frame."""

    __slots__ = ("_emit", "_lost")

    def __init__(self, emit: EmitFrame) -> None:
        self._emit = emit
        self._lost = 0

    def push(self, packet: RtpPacket, timestamp: int, lost: int) -> None:
        lost += self._lost
        self._lost = 0
        if not packet.payload:
            self._lost = lost  # padding is no frame; whatever was lost before it still was
            return
        frame = EncodedFrame(Codec.OPUS, timestamp, packet.arrival_ns, packet.payload, True, lost > 0, lost)
        self._emit(frame)


class VideoAssembler:
    """One picture per RTP timestamp, whole with the marker bit or when the timestamp changes.

    An incomplete picture is dropped. From then until the next key frame, pictures say `after_loss`.
    """

    def __init__(self, codec: Codec, depacketizer: Depacketizer, emit: EmitFrame, dropped: CountDrop) -> None:
        self._codec = codec
        self._depacketizer = depacketizer
        self._emit = emit
        self._dropped = dropped
        self._timestamp = -1  # extended timestamps are positive
        self._open = False  # packets of `_timestamp` are collected
        self._skip = False  # `_timestamp` is damaged
        self._arrival_ns = 0
        self._size = 0
        self._lost = 0
        self._gap = True  # what came directly before is missing
        self._damaged = False  # something was lost since the last frame that was released
        self._broken = True  # no key frame since the last loss, or since the beginning

    def push(self, packet: RtpPacket, timestamp: int, lost: int) -> None:
        if lost:
            self._lose(lost)
        payload = packet.payload
        if not payload:
            return
        if timestamp != self._timestamp:
            self._begin(payload, packet, timestamp)
        elif not self._open and not self._skip:
            self._begin(payload, packet, timestamp)  # a sender that marks every slice
        if self._skip:
            return
        if packet.arrival_ns < self._arrival_ns:
            self._arrival_ns = packet.arrival_ns
        self._size += len(payload)
        if self._size > FRAME_BYTES_MAX:
            self._spoil("frame_too_large")
        elif not self._depacketizer.add(payload):
            self._spoil("malformed_payload")
        elif packet.marker:
            self._finish()

    def _begin(self, payload: bytes, packet: RtpPacket, timestamp: int) -> None:
        if self._open:
            self._finish()
        self._timestamp = timestamp
        self._arrival_ns = packet.arrival_ns
        self._size = 0
        self._open = True
        self._skip = False
        if self._gap:
            if not self._depacketizer.starts_frame(payload):
                self._spoil("incomplete_frame")
                return
            if self._lost and self._depacketizer.continues(payload, self._lost):
                self._lost = 0  # only padding was lost
            elif self._lost:
                self._damaged = self._broken = True
            self._gap = False

    def _lose(self, lost: int) -> None:
        self._lost += lost
        self._gap = True
        if self._open:
            self._spoil("incomplete_frame")

    def _spoil(self, reason: str) -> None:
        self._depacketizer.clear()
        self._dropped(reason)
        self._open = False
        self._skip = True
        self._damaged = self._broken = True
        self._gap = True

    def _finish(self) -> None:
        self._open = False
        whole = self._depacketizer.finish()
        if whole is None:
            return  # parameter sets only: kept by the depacketizer for the key frame to come
        data, keyframe = whole
        after_loss = self._damaged or (self._broken and not keyframe)
        lost, self._lost = self._lost, 0
        self._damaged = False
        if keyframe:
            self._broken = False
        frame = EncodedFrame(self._codec, self._timestamp, self._arrival_ns, data, keyframe, after_loss, lost)
        self._emit(frame)


def starts_frame(codec: Codec, payload: bytes) -> bool:
    """Whether a frame of this codec begins with this payload."""
    if codec is Codec.OPUS:
        return True
    return len(payload) > 0 and _depacketizer(codec).starts_frame(payload)


def assembler_for(codec: Codec, emit: EmitFrame, dropped: CountDrop) -> Assembler:
    """A fresh assembler for a stream of this codec."""
    if codec is Codec.OPUS:
        return AudioAssembler(emit)
    return VideoAssembler(codec, _depacketizer(codec), emit, dropped)


def _depacketizer(codec: Codec) -> Depacketizer:
    return _DEPACKETIZERS[codec]()
