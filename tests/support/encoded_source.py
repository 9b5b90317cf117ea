"""Encoded frames as a publisher would send them, on a schedule: no network, no waiting, the same every time.

A `Sender` has clocks of its own (skewed, with an arbitrary start), a delay and jitter to here, and makes
the items that the rendering side takes, each with the local time at which it arrives. `replay` plays them to
a Renderer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from random import Random

import av
import numpy as np
import numpy.typing as npt

from media.handover.encoded_frame import Codec, EncodedFrame, SenderReport
from media.handover.render_queue import Arrived, Item, Joined, Left, Reported, StreamEnded, StreamStarted
from media.render.renderer import Renderer
from recorder.kernel.media import Fragment, MediaEvent, Publisher
from recorder.kernel.recording import RecordingPlan

NS = 1_000_000_000
PACKET_SAMPLES = 960
FLASH_S = 0.08  # how long a flash and its beep last
BEEP_HZ = 1_000

Sound = npt.NDArray[np.float32]


@cache
def opus_packets(
    seconds: float, beeps_at: tuple[float, ...], fec: bool = False, hertz: int = BEEP_HZ
) -> tuple[bytes, ...]:
    """Opus packets of 20 ms, one after the other: silence with beeps."""
    sound = beeping(seconds, beeps_at, hertz=hertz)
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "flt"
    encoder.options = {"fec": str(int(fec)), "packet_loss": "20" if fec else "0", "application": "voip"}
    encoder.bit_rate = 32_000
    packets = []
    for start in range(0, sound.size - PACKET_SAMPLES + 1, PACKET_SAMPLES):
        block = sound[None, start : start + PACKET_SAMPLES]
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(packets)


def opus_stereo(left: Sound, right: Sound) -> tuple[bytes, ...]:
    """Opus packets of 20 ms with a signal for each side."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "flt"
    encoder.bit_rate = 96_000
    both = np.stack([left, right], axis=1)
    packets = []
    for start in range(0, len(both) - PACKET_SAMPLES + 1, PACKET_SAMPLES):
        block = both[start : start + PACKET_SAMPLES].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(packets)


def beeping(seconds: float, beeps_at: Iterable[float], *, hertz: int = BEEP_HZ) -> Sound:
    """A mono signal at 48 kHz: silence, and a beep of FLASH_S at each of these times."""
    sound = np.zeros(round(seconds * 48_000), dtype=np.float32)
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(FLASH_S * 48_000)) / 48_000)
    for at in beeps_at:
        start = round(at * 48_000)
        part = sound[start : start + tone.size]
        part += tone[: part.size].astype(np.float32)
    return sound


@cache
def video_frames(
    codec: Codec,
    size: tuple[int, int],
    fps: float,
    seconds: float,
    flashes_at: tuple[float, ...],
    keyframe_every_s: float = 1e6,
    moving: bool = False,
) -> tuple[tuple[bytes, bool], ...]:
    """(data, keyframe) for each picture: dark, white during flashes; `moving` adds a travelling bar."""
    encoder = av.CodecContext.create("libvpx" if codec is Codec.VP8 else "libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 90_000)
    encoder.bit_rate, encoder.framerate = 500_000, Fraction(fps)  # x264 shares out bits by the frame rate
    encoder.options = (
        {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
        if codec is Codec.VP8
        else {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    )
    frames = []
    next_key = 0.0
    for index in range(round(seconds * fps)):
        at = index / fps
        lit = any(flash - 1e-9 <= at < flash + FLASH_S for flash in flashes_at)
        picture = plain(size, 235 if lit else 16, bar=index * 4 if moving else None)
        picture.pts, picture.time_base = round(at * 90_000), Fraction(1, 90_000)
        if at >= next_key:
            picture.pict_type = av.video.frame.PictureType.I
            next_key += keyframe_every_s
        frames += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return tuple(frames)


def plain(size: tuple[int, int], luma: int, *, bar: int | None = None) -> av.VideoFrame:
    """A grey picture, with a bright vertical bar where asked for."""
    width, height = size
    planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    planes[:height] = luma
    if bar is not None:
        left = bar % (width - 16)
        planes[:height, left : left + 16] = 180
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


@dataclass
class Sender:
    """One publisher: its clocks and its way to here. Times in seconds of true (local) time."""

    session: str
    publisher: Publisher
    start_s: float = 100.0  # local time of its media's beginning
    skew_ppm: float = 0.0  # its clock runs so much faster
    delay_s: float = 0.01
    jitter_s: float = 0.0
    seed: int = 1
    items: list[tuple[int, Item]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._ntp_ns = 3_900_000_000 * NS + self._random.randrange(10**15)
        self._put(self.start_s, Joined(self.session, self.publisher, round(self.start_s * NS)))

    def sound(
        self,
        packets: Iterable[bytes],
        *,
        start_s: float = 0.0,
        key: str = "audio",
        reports: "Reports | None" = None,
        lose: Callable[[int], bool] = lambda index: False,
    ) -> None:
        """Send Opus packets from `start_s` after the sender's beginning."""
        frames = [(data, True) for data in packets]
        self._stream(key, Codec.OPUS, frames, start_s, PACKET_SAMPLES / 48_000, 0.0, reports, lose)

    def video(
        self,
        frames: Iterable[tuple[bytes, bool]],
        *,
        codec: Codec,
        fps: float,
        start_s: float = 0.0,
        key: str = "video",
        pipeline_s: float = 0.0,
        reports: "Reports | None" = None,
        lose: Callable[[int], bool] = lambda index: False,
    ) -> None:
        """Send pictures, each `pipeline_s` after it was captured."""
        self._stream(key, codec, list(frames), start_s, 1 / fps, pipeline_s, reports, lose)

    def leave(self, at_s: float) -> None:
        """End the session so long after the sender's beginning."""
        self._put(self.start_s + at_s, Left(self.session, round((self.start_s + at_s) * NS)))

    def end_stream(self, key: str, at_s: float) -> None:
        """End one stream so long after the sender's beginning."""
        self._put(self.start_s + at_s, StreamEnded(self.stream_key(key), round((self.start_s + at_s) * NS)))

    def stream_key(self, key: str) -> str:
        """The key of a stream as the rendering side knows it."""
        return f"{self.session}/{key}"

    def put(self, at_s: float, item: Item) -> None:
        """Let anything else happen, so long after the sender's beginning."""
        self._put(self.start_s + at_s, item)

    def _stream(
        self,
        key: str,
        codec: Codec,
        frames: list[tuple[bytes, bool]],
        start_s: float,
        period_s: float,
        pipeline_s: float,
        reports: "Reports | None",
        lose: Callable[[int], bool],
    ) -> None:
        name = self.stream_key(key)
        begin = self.start_s + start_s
        self._put(begin, StreamStarted(self.session, name, codec.is_video, round(begin * NS)))
        rtp_base = self._random.randrange(2**33)
        rate = codec.clock_rate
        lost, arrived_s = 0, 0.0
        next_report = reports.first_s if reports is not None else 1e9
        for index, (data, keyframe) in enumerate(frames):
            if lose(index):
                lost += 1
                continue
            sender_s = start_s + index * period_s  # by the sender's own clock
            true_s = self.start_s + sender_s / (1 + self.skew_ppm * 1e-6)
            rtp = rtp_base + round((sender_s - start_s) * rate)
            jitter = self._random.random() * self.jitter_s
            arrived_s = max(arrived_s, true_s + pipeline_s + self.delay_s + jitter)
            frame = EncodedFrame(codec, rtp, round(arrived_s * NS), data, keyframe, lost > 0, lost)
            self._put(arrived_s, Arrived(name, frame))
            lost = 0
            if reports is not None and sender_s - start_s >= next_report:
                next_report += reports.every_s
                ntp_ns = self._ntp_ns + round((sender_s + reports.error_s(sender_s)) * NS)
                report = SenderReport(rtp, ntp_ns, round(arrived_s * NS))
                self._put(arrived_s + reports.late_s, Reported(name, report))

    def _put(self, at_s: float, item: Item) -> None:
        self.items.append((round(at_s * NS), item))


@dataclass(frozen=True)
class Reports:
    """How a stream's sender reports come: from when, how often, how wrong, how late.

    `of_sending`: they name when the last frame was sent, not when it was captured.
    """

    first_s: float = 0.5
    every_s: float = 1.0
    error_s: Callable[[float], float] = lambda at_s: 0.0
    late_s: float = 0.0
    of_sending: bool = False


@dataclass
class Output:
    """What a renderer wrote and said."""

    fragments: list[Fragment] = field(default_factory=list)
    events: list[MediaEvent] = field(default_factory=list)
    keyframes_wanted: set[str] = field(default_factory=set)
    written_at_ns: list[int] = field(default_factory=list)  # provisional fragments too
    safe_until_us: list[int] = field(default_factory=list)  # the same writes

    @property
    def data(self) -> bytes:
        """The whole file."""
        return b"".join(fragment.data for fragment in self.fragments)


BATCH_NS = 40_000_000


def replay(
    plan: RecordingPlan,
    senders: list[Sender],
    *,
    until_s: float,
    blocked: dict[str, int] | None = None,
    finish: bool = True,
) -> tuple[Output, Renderer]:
    """Play what the senders send to a renderer up to this local time, in batches of 40 ms; finish it."""
    output = Output()
    now_ns = 0

    def write(fragment: Fragment) -> None:
        output.safe_until_us.append(fragment.start_us + fragment.duration_us)
        output.written_at_ns.append(now_ns)
        if not fragment.provisional:
            output.fragments.append(fragment)

    renderer = Renderer(
        plan, write=write, emit=output.events.append, want_keyframe=output.keyframes_wanted.add
    )
    items = sorted((item for sender in senders for item in sender.items), key=lambda pair: pair[0])
    now_ns = min(at for at, _ in items)
    position = 0
    while now_ns < until_s * NS:
        now_ns = min(now_ns + BATCH_NS, round(until_s * NS))
        while position < len(items) and items[position][0] <= now_ns:
            renderer.accept(items[position][1], now_ns)
            position += 1
        renderer.advance(now_ns, blocked or {})
    if finish:
        renderer.finish(now_ns)
    return output, renderer
