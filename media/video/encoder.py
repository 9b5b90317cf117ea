"""Encoder of pictures: H.264 in the form that ISO/IEC 14496-15 puts into an MP4.

Why these x264 options: docs/how/encoding.md has the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from media.isobmff.avc import with_parameter_sets_of
from media.video.anamorphic_scaler import coded_width
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import Canvas

VIDEO_TIMESCALE = 90_000  # Hz
PRESET = "veryfast"
VBV_BUFFER_S = 2.0  # one fragment: a key frame may borrow from the pictures after it
X264_PARAMETERS = {
    "annexb": "0",  # length-prefixed NAL units and an avcC record, straight from x264
    "keyint": "infinite",  # the engine says where fragments, hence key frames, begin
    "scenecut": "0",
    "bframes": "0",  # decoding order is presentation order: no composition offsets
    "rc-lookahead": "0",
    "sync-lookahead": "0",
    "mbtree": "0",
    "aq-mode": "2",  # auto-variance: a twentieth smaller on faces, free
    "qcomp": "1",  # a still picture is not refined: the next key frame would throw it away
    "threads": "1",  # one recording is one process
    "force-cfr": "0",  # the rate cap counts real durations; for that x264 waits for the next picture's time
}
# Half the CPU at the price of a fifth more bytes on text: for machines that cannot do more. Nothing here may
# change the parameter sets, which stand in the init segment once and for all: a first one for pictures of the
# canvas's width, a second for narrow ones.
HASTY_PARAMETERS = X264_PARAMETERS | {"me": "dia", "subme": "0", "analyse": "none", "trellis": "0"}
NARROW_DIVISOR = 2  # of the columns of narrow pictures, which their pixel aspect ratio makes up for
_PARAMETER_SET_IDS = {1: 0, NARROW_DIVISOR: 1}  # by divisor
_SEI, _USER_DATA_UNREGISTERED = 6, 5  # ITU-T H.264 7.4.1, D.1.1
BT601 = 6  # ITU-T H.273: SMPTE 170M primaries, transfer and matrix, as Chromium takes WebRTC pictures to be


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One access unit, NAL units prefixed with 4-byte lengths; `pts` in 1/90000 s, in decoding order."""

    data: bytes
    pts: int
    keyframe: bool


def video_context(
    canvas: Canvas,
    *,
    crf: int,
    bitrate_max: int,
    preset: str = PRESET,
    parameters: Mapping[str, str] = X264_PARAMETERS,
    divisor: int = 1,
) -> VideoCodecContext:
    """Open libx264 for pictures of the canvas's size, or with its columns divided; `bitrate_max` in bit/s."""
    context = av.CodecContext.create("libx264", "w")
    width = coded_width(canvas.width, divisor)
    context.width, context.height, context.pix_fmt = width, canvas.height, "yuv420p"
    if divisor != 1:  # unspecified otherwise: what is said of the first pictures is taken to hold for all
        context.sample_aspect_ratio = Fraction(canvas.width, width)
        parameters = {**parameters, "sps-id": str(_PARAMETER_SET_IDS[divisor])}
    context.time_base, context.framerate = Fraction(1, VIDEO_TIMESCALE), Fraction(canvas.fps)
    context.color_primaries = context.color_trc = context.colorspace = BT601
    context.color_range = ColorRange.MPEG
    context.flags |= Flags.global_header
    context.options = {
        "preset": preset,
        "crf": str(crf),
        "maxrate": str(bitrate_max),
        "bufsize": str(round(bitrate_max * VBV_BUFFER_S)),
        "forced-idr": "1",
        "x264-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
    }
    context.open()
    return context


class VideoEncoder:
    """libx264 at constant quality under a rate cap, variable frame rate, key frames only where forced.

    A picture comes out when the next one, or `flush`, gives it its duration: never later than that.
    An effort that is set counts from the next key frame on, where another x264 takes over. From there on
    pictures must have `width` columns.
    """

    def __init__(self, canvas: Canvas, *, crf: int, bitrate_max: int) -> None:
        self.thorough, self.divisor = True, 1
        self._canvas, self._crf, self._bitrate_max = canvas, crf, bitrate_max
        narrow = self._open(thorough=True, divisor=NARROW_DIVISOR)
        self._context = self._open(thorough=True, divisor=1)
        self._in_use = (True, 1)
        self._records = {1: _record(self._context), NARROW_DIVISOR: _record(narrow)}
        self._last_pts = -1

    @property
    def avcc(self) -> bytes:
        """The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1): SPS and PPS of both widths."""
        return with_parameter_sets_of(self._records[1], self._records[NARROW_DIVISOR])

    @property
    def width(self) -> int:
        """How many columns pictures have from the next key frame on."""
        return coded_width(self._canvas.width, self.divisor)

    def set_effort(self, *, thorough: bool = True, divisor: int = 1) -> bool:
        """Choose an effort, and 1 or NARROW_DIVISOR to divide columns by; whether they are others now."""
        before = (self.thorough, self.divisor)
        self.thorough, self.divisor = thorough, divisor
        return before != (thorough, divisor)

    def encode(self, picture: av.VideoFrame, pts: int, *, force_keyframe: bool) -> list[EncodedPicture]:
        """Take a picture shown from `pts` (1/90000 s, increasing); give the pictures that are done.

        The picture may be painted over as soon as this returns: x264 has copied it.
        """
        if pts <= self._last_pts:
            raise BystanderError(
                "pictures_out_of_order",
                "Pictures must have increasing times.",
                fault=Fault.SERVER,
                status=500,
            )
        self._last_pts = pts
        picture.pts, picture.time_base = pts, Fraction(1, VIDEO_TIMESCALE)
        picture.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        changes = force_keyframe and (self.thorough, self.divisor) != self._in_use
        before = self._change() if changes else []
        if picture.width != self._context.width:
            raise BystanderError(
                "picture_width", "A picture has other columns than its coder.", fault=Fault.SERVER, status=500
            )
        return before + [_picture(packet) for packet in self._context.encode(picture)]

    def flush(self) -> list[EncodedPicture]:
        """Give what is still inside; the encoder takes no more pictures."""
        return [_picture(packet) for packet in self._context.encode(None)]

    def _change(self) -> list[EncodedPicture]:
        """Let another x264 go on; give what the one before still held."""
        last = self.flush()
        self._in_use = (self.thorough, self.divisor)
        self._context = self._open(thorough=self.thorough, divisor=self.divisor)
        if _record(self._context) != self._records[self.divisor]:
            raise BystanderError(
                "encoder_mismatch", "x264 changed its parameter sets.", fault=Fault.SERVER, status=500
            )
        return last

    def _open(self, *, thorough: bool, divisor: int) -> VideoCodecContext:
        return video_context(
            self._canvas,
            crf=self._crf,
            bitrate_max=self._bitrate_max,
            parameters=X264_PARAMETERS if thorough else HASTY_PARAMETERS,
            divisor=divisor,
        )


def _record(context: VideoCodecContext) -> bytes:
    return bytes(context.extradata or b"")


def _picture(packet: "av.Packet[Any]") -> EncodedPicture:
    return EncodedPicture(_without_user_data(bytes(packet)), _pts(packet), packet.is_keyframe)


def _without_user_data(access_unit: bytes) -> bytes:
    """Leave out x264's SEI that names its version and all its options, which begins its first access unit."""
    start = 0
    while access_unit[start + 4] & 0x1F == _SEI and access_unit[start + 5] == _USER_DATA_UNREGISTERED:
        start += 4 + int.from_bytes(access_unit[start : start + 4])
    return access_unit[start:]


def _pts(packet: "av.Packet[Any]") -> int:
    if packet.pts is None:
        raise BystanderError("packet_without_time", "An encoder lost a time.", fault=Fault.SERVER, status=500)
    return packet.pts
