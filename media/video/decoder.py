"""From encoded frames to pictures and sound: the only place that holds decoders.

A decoder belongs to one stream, and whatever that stream sends costs frames of its own only, counted by
reason. Decoders run on the thread that calls them (one libav thread each), never on the event loop.
"""

from collections import Counter

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from media.audio.opus import OpusDecoder, OpusError, Samples, packet_samples
from media.handover.encoded_frame import Codec, EncodedFrame

CONCEALED_SAMPLES_MAX = 5_760  # 120 ms: longer, and libopus has faded to silence anyway
PICTURE_PIXELS_MAX = 4096 * 2304  # what a 4K camera sends; above it a picture is refused, not scaled
_CONCEALMENT_STEP = 120  # 2.5 ms, the grain of Opus


class PictureDecoder:
    """Pictures of one stream, VP8 or H.264, through losses, codec and size changes.

    After a loss nothing is returned until the next key frame, so the last good picture stays: a smeared one
    is never recorded. `wants_keyframe` says that one should be asked for. `dropped` counts frames by
    reason.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.wants_keyframe = True
        self._codec: Codec | None = None
        self._context: av.VideoCodecContext | None = None

    @property
    def codec(self) -> Codec | None:
        """What the stream was coded in last."""
        return self._codec

    def decode(self, frame: EncodedFrame) -> VideoFrame | None:
        """Return the picture (yuv420p), or None when this frame gives none."""
        if frame.codec is not self._codec:
            self._codec, self._context = frame.codec, None
            self.wants_keyframe = True
        if frame.keyframe:
            self.wants_keyframe = False
        elif frame.after_loss and not self.wants_keyframe:
            self.wants_keyframe = True
        if self.wants_keyframe:
            self.dropped["video_without_keyframe"] += 1
            return None
        return self._decode(frame)

    def skip(self, reason: str) -> None:
        """Leave a frame out on purpose: everything up to the next key frame goes with it."""
        self.dropped[reason] += 1
        self.wants_keyframe = True

    def _decode(self, frame: EncodedFrame) -> VideoFrame | None:
        if self._context is None:
            self._context = _video_context(frame.codec)
        try:
            pictures = self._context.decode(av.Packet(frame.data))
        except FFmpegError:
            pictures = []
        if not pictures or pictures[-1].is_corrupt:
            self._break("video_corrupt")
            return None
        picture = pictures[-1]
        if picture.width * picture.height > PICTURE_PIXELS_MAX:
            self._break("video_too_large")
            return None
        return picture if picture.format.name == "yuv420p" else picture.reformat(format="yuv420p")

    def _break(self, reason: str) -> None:
        self._context = None
        self.skip(reason)


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
        except OpusError:
            self.dropped["audio_not_concealed"] += 1
            return np.zeros((self._channels, 0), dtype=np.float32)
        self.concealed_samples += length
        return np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]


def _video_context(codec: Codec) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec.value, "r")
    if not isinstance(context, av.VideoCodecContext):
        raise TypeError(f"{codec} is not a video codec")
    context.thread_count = 1  # threads of libav would delay pictures and fight over the cores
    context.flags |= av.codec.context.Flags.low_delay  # WebRTC has no B-frames: a picture in is a picture out
    context.options = {"err_detect": "explode"}
    return context
