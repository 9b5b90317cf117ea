"""Decoders of pictures: one for each stream, and what each may take.

Whatever a stream sends costs frames of its own only, counted by reason: its header is read before a decoder
is given it, memory is taken from the publisher's share, and time from the stream's own. Decoders run on the
thread that calls them (one libav thread each), never on the event loop.
"""

import time
from collections import Counter
from collections.abc import Callable

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame

from media.handover.encoded_frame import Codec, EncodedFrame
from media.video.coded_size import coded_size
from media.video.decoder_limits import DecodingTime, MemoryShare, give_back_memory
from media.video.headers.size import CodedSize, UnreadableHeaderError

_DECODERS = {Codec.AV1: "libdav1d"}  # libav's own for AV1 needs hardware


class PictureDecoder:
    """Pictures of one stream through losses, codec and size changes.

    After a loss nothing is returned until the next key frame, so the last good picture stays: a smeared one
    is never recorded. `wants_keyframe` says that one should be asked for. `dropped` counts frames by
    reason. `close` gives back what it took.
    """

    def __init__(
        self, memory: MemoryShare, *, pixels_max: int, cpu_ns: Callable[[], int] = time.thread_time_ns
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.wants_keyframe = True
        self._memory = memory
        self._pixels_max = pixels_max
        self._time = DecodingTime(cpu_ns)
        self._taken_bytes = 0
        self._size: CodedSize | None = None  # that the context was made for
        self._codec: Codec | None = None
        self._context: av.VideoCodecContext | None = None

    @property
    def codec(self) -> Codec | None:
        """What the stream was coded in last."""
        return self._codec

    def decode(self, frame: EncodedFrame) -> VideoFrame | None:
        """Return the picture (yuv420p), or None when this frame gives none."""
        if frame.codec is not self._codec:
            self._forget_context()
            self._codec = frame.codec
            self.wants_keyframe = True
        if frame.keyframe:
            self.wants_keyframe = False
        elif frame.after_loss and not self.wants_keyframe:
            self.wants_keyframe = True
        if self.wants_keyframe:
            self.dropped["video_without_keyframe"] += 1
            return None
        if refusal := self._refusal(frame):
            self._break(refusal)
            return None
        return self._decode(frame)

    def skip(self, reason: str) -> None:
        """Leave a frame out on purpose: everything up to the next key frame goes with it."""
        self.dropped[reason] += 1
        self.wants_keyframe = True

    def close(self) -> None:
        """Give back its memory; it decodes no more."""
        self._forget_context()

    def _refusal(self, frame: EncodedFrame) -> str | None:
        """Why this frame is not decoded."""
        if not self._time.allows(frame.arrival_ns):
            return "video_over_time"
        try:
            size = coded_size(frame.codec, frame.data)
        except UnreadableHeaderError:
            return "video_corrupt"
        return None if size is None else self._make_room(size)

    def _make_room(self, size: CodedSize) -> str | None:
        if size.pixels < 1:
            return "video_corrupt"
        if size.pixels > self._pixels_max:
            return "video_too_large"
        if size != self._size:
            # Anew: libav keeps the buffers of larger pictures, and is told how large any may be at its start.
            self._forget_context()
        if not self._memory.take(size.decoder_bytes - self._taken_bytes):
            return "video_over_memory"
        self._taken_bytes, self._size = size.decoder_bytes, size
        return None

    def _decode(self, frame: EncodedFrame) -> VideoFrame | None:
        if self._context is None:
            self._context = _video_context(
                frame.codec, self._pixels_max if self._size is None else self._size.padded_pixels
            )
        with self._time.spent():
            try:
                pictures = self._context.decode(av.Packet(frame.data))
            except FFmpegError:
                pictures = []
            if not pictures or pictures[-1].is_corrupt:
                self._break("video_corrupt")
                return None
            picture = pictures[-1]
            return picture if picture.format.name == "yuv420p" else picture.reformat(format="yuv420p")

    def _break(self, reason: str) -> None:
        self._forget_context()
        self.skip(reason)

    def _forget_context(self) -> None:
        self._context = None
        self._memory.give(self._taken_bytes)
        give_back_memory(self._taken_bytes)
        self._taken_bytes, self._size = 0, None


def _video_context(codec: Codec, pixels_max: int) -> av.VideoCodecContext:
    context = av.CodecContext.create(_DECODERS.get(codec, codec.value), "r")
    if not isinstance(context, av.VideoCodecContext):
        raise TypeError(f"{codec} is not a video codec")
    context.thread_count = 1  # threads of libav would delay pictures and fight over the cores
    context.flags |= av.codec.context.Flags.low_delay  # WebRTC has no B-frames: a picture in is a picture out
    context.options = {"err_detect": "explode", "max_pixels": str(pixels_max)}
    return context
