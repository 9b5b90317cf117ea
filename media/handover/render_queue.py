"""The render queue: from the event loop to the render thread, in batches, within bounds.

When rendering falls behind, the streams with the most waiting bytes lose video first; sound goes on until
memory itself is in danger. Everything here is called on the event loop, except `Batch`'s reader.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from media.handover.encoded_frame import EncodedFrame, SenderReport
from recorder.kernel.limits import MIB
from recorder.kernel.media import Publisher

STREAM_VIDEO_BYTES_MAX = 8 * MIB  # of one stream: seconds of the fattest camera
VIDEO_BYTES_MAX = 32 * MIB  # of all streams together
BYTES_MAX = 64 * MIB  # with sound: minutes of it, even from every publisher that is allowed
FRAME_OVERHEAD_BYTES = 200  # what a frame costs besides its data, so that tiny ones count too


@dataclass(frozen=True, slots=True)
class Joined:
    session: str
    publisher: Publisher
    at_ns: int


@dataclass(frozen=True, slots=True)
class Left:
    session: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class StreamStarted:
    session: str
    key: str
    video: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    key: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame, and when it was whole (None: as the batch was sent): later than its first packet's arrival."""

    key: str
    frame: EncodedFrame
    at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    key: str
    report: SenderReport


@dataclass(frozen=True, slots=True)
class TimelineChanged:
    key: str


@dataclass(frozen=True, slots=True)
class RoundTripMeasured:
    """How long a check of the path to a session's publisher and its answer took together."""

    session: str
    round_trip_ns: int
    at_ns: int


Item = Joined | Left | StreamStarted | StreamEnded | Arrived | Reported | TimelineChanged | RoundTripMeasured


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened since the last batch, the time now, and since when which streams wait for a gap."""

    items: list[Item]
    now_ns: int
    blocked: Mapping[str, int] = field(default_factory=dict)
    final: bool = False
    weights: Mapping[str, int] = field(default_factory=dict)
    keyframes: frozenset[str] = frozenset()  # streams with a key frame among the items


class RenderQueue:
    """The bounded way to the render thread."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.offered = 0  # frames, taken or not: while it grows, somebody sends
        self._batches: SimpleQueue[Batch] = SimpleQueue()
        self._done: deque[Batch] = deque()
        self._sent_ns = 0
        self._items: list[Item] = []
        self._weights: Counter[str] = Counter()  # bytes of the batch that is being filled
        self._keyframes: set[str] = set()  # streams with a key frame in it
        self._keyframes_waiting: Counter[str] = Counter()  # batches not yet done with one, by stream
        self._waiting: Counter[str] = Counter()  # bytes of batches not yet done, by stream
        self._waiting_bytes = 0
        self._until_keyframe: set[str] = set()
        self._closed = False

    def put(self, item: Item) -> None:
        """Take something that is not a frame; of reports, no more than the stream's share has room for.

        Everything else takes a handshake or another source, which are few.
        """
        if self._closed:
            return
        if isinstance(item, Reported):
            total = self._waiting_bytes + FRAME_OVERHEAD_BYTES
            if total > VIDEO_BYTES_MAX or self._waiting[item.key] >= STREAM_VIDEO_BYTES_MAX:
                self.dropped["report_backlog"] += 1
                return
            self._weigh(item.key, FRAME_OVERHEAD_BYTES)
        self._items.append(item)

    def close(self) -> None:
        """Nobody takes any more: everything that comes is dropped, and counted."""
        self._closed = True
        self._items = []

    def put_frame(self, key: str, frame: EncodedFrame, at_ns: int | None = None) -> bool:
        """Take a frame, or drop it for want of room; return whether it was taken."""
        self.offered += 1
        if self._closed:
            self.dropped["after_the_end"] += 1
            return False
        weight = len(frame.data) + FRAME_OVERHEAD_BYTES
        if not self._has_room(key, frame, weight):
            self.dropped["video_backlog" if frame.codec.is_video else "audio_backlog"] += 1
            return False
        self._weigh(key, weight)
        self._items.append(Arrived(key, frame, at_ns))
        if frame.codec.is_video and frame.keyframe:
            self._keyframes.add(key)
        return True

    def brings_keyframe(self, key: str) -> bool:
        """Whether a key frame of this stream is on its way, so that none needs to be asked for."""
        return key in self._keyframes or key in self._keyframes_waiting

    def send(self, now_ns: int, blocked: Mapping[str, int], *, final: bool = False) -> None:
        """Hand everything over, with the time."""
        self._settle()
        self._sent_ns = now_ns
        keyframes = frozenset(self._keyframes)
        self._keyframes_waiting.update(keyframes)
        self._batches.put(Batch(self._items, now_ns, blocked, final, self._weights, keyframes))
        self._items, self._weights, self._keyframes = [], Counter(), set()

    def take(self) -> Batch:
        """On the render thread: wait for the next batch."""
        return self._batches.get()

    def waiting_ns(self, now_ns: int) -> int:
        """On the render thread: how much time the batches that wait were sent after `now_ns`."""
        return self._sent_ns - now_ns if not self._batches.empty() else 0

    def done(self, batch: Batch) -> None:
        """On the render thread: the batch needs no memory any more."""
        self._done.append(batch)

    def _weigh(self, key: str, weight: int) -> None:
        self._weights[key] += weight
        self._waiting[key] += weight
        self._waiting_bytes += weight

    def _has_room(self, key: str, frame: EncodedFrame, weight: int) -> bool:
        total = self._waiting_bytes + weight
        if not frame.codec.is_video:
            return total <= BYTES_MAX
        if key in self._until_keyframe and not frame.keyframe:
            return False
        if total > VIDEO_BYTES_MAX or self._waiting[key] + weight > STREAM_VIDEO_BYTES_MAX:
            self._until_keyframe.add(key)
            return False
        self._until_keyframe.discard(key)
        return True

    def _settle(self) -> None:
        while self._done:
            batch = self._done.popleft()
            for key, weight in batch.weights.items():
                self._waiting_bytes -= weight
                self._waiting[key] -= weight
                if self._waiting[key] <= 0:
                    del self._waiting[key]
            for key in batch.keyframes:
                self._keyframes_waiting[key] -= 1
                if self._keyframes_waiting[key] <= 0:
                    del self._keyframes_waiting[key]
