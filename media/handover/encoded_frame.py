"""The wall between receiving and rendering: encoded frames, as they came, before any decoder.

The receiving side (media.webrtc.peer) makes these values on the event loop; the rendering side (media.render)
consumes them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Codec(StrEnum):
    """What a stream is coded in."""

    OPUS = "opus"
    VP8 = "vp8"
    VP9 = "vp9"
    AV1 = "av1"
    H264 = "h264"

    @property
    def is_video(self) -> bool:
        return self is not Codec.OPUS

    @property
    def clock_rate(self) -> int:
        """RTP clock of this codec in Hz."""
        return 90_000 if self.is_video else 48_000


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One whole picture (VP8 or VP9 frame, H.264 access unit in Annex B, AV1 temporal unit), one Opus packet.

    `rtp_timestamp` is unwrapped to 64 bits and never decreases by a wrap; `arrival_ns` is the monotonic
    time at which its first packet arrived. `after_loss`: something before it is missing for good, so an
    audio decoder should conceal `lost_packets` and a video decoder holds pictures until a key frame.
    """

    codec: Codec
    rtp_timestamp: int
    arrival_ns: int
    data: bytes
    keyframe: bool
    after_loss: bool = False
    lost_packets: int = 0


@dataclass(frozen=True, slots=True)
class SenderReport:
    """RFC 3550 6.4.1: this RTP timestamp and this NTP time name one instant on the sender's clock."""

    rtp_timestamp: int  # unwrapped like the frames'
    ntp_ns: int  # nanoseconds since 1900, as the sender says
    arrival_ns: int


class StreamControl(Protocol):
    """What rendering may ask of one incoming stream, and read off it. Event loop only."""

    @property
    def key(self) -> str:
        """Unique in the recording: stays the same over SSRC, codec and size changes."""
        ...

    @property
    def blocked_since_ns(self) -> int | None:
        """Arrival time of the packet after the oldest gap still being waited for; None when there is none."""
        ...

    def request_keyframe(self) -> None:
        """Ask the sender for a key frame (PLI), rate-limited by the receiver itself."""
        ...


class EncodedSink(Protocol):
    """Where one peer's streams go. All calls on the event loop, in order, and they return quickly."""

    def stream_started(self, stream: StreamControl, *, video: bool) -> None:
        """A media section of the peer's session began to carry packets."""
        ...

    def frame(self, stream: StreamControl, frame: EncodedFrame) -> None:
        """A whole frame, in decoding order."""
        ...

    def sender_report(self, stream: StreamControl, report: SenderReport) -> None:
        """A sender report of the stream's current SSRC."""
        ...

    def source_changed(self, stream: StreamControl) -> None:
        """The SSRC changed: a new RTP timeline begins with the next frame."""
        ...

    def stream_ended(self, stream: StreamControl) -> None:
        """No more packets: BYE, session closed, or the section became inactive."""
        ...
