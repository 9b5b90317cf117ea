"""The picture of a recording over time: which tiles there are, what they show, when one is made."""

from collections.abc import Iterator
from dataclasses import dataclass

from media.isobmff import VideoTrack
from media.mux.fragment_joiner import FragmentJoiner
from media.mux.fragmenter import VIDEO_TRACK
from media.render.streams import PictureSource
from media.video.compositor import Compositor
from media.video.encoder import VIDEO_TIMESCALE, EncodedPicture, VideoEncoder
from media.video.layout import Tile
from media.video.quality_control import Pacer, QualityLevel
from media.video.scaler import Picture
from recorder.kernel.media import Publisher, SourceKind
from recorder.kernel.recording import RecordingPlan

START_NS = (
    200_000_000  # a recording opens with the first pictures that come so soon, not with an empty canvas
)
FROZEN_NS = (
    5_000_000_000  # a camera that sends nothing for so long has no picture; what is shared may stand still
)
UNREADABLE = "(video unreadable)"  # beside the name of who sends what cannot be decoded
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures that left the encoder, and where (1/90000 s) the fragment is cut.

    At a key frame the next one begins; at another picture it goes on.
    """

    pictures: list[EncodedPicture]
    cut_at: int | None
    keyframe: bool


class _Seat:
    """One session on the canvas: its publisher and its video streams in the order in which they began."""

    def __init__(self, session: str, publisher: Publisher) -> None:
        self.session = session
        self.publisher = publisher
        self.sources: list[PictureSource] = []

    def tiles(self, shown: dict[str, Picture]) -> Iterator[tuple[Tile, PictureSource | None]]:
        """One tile for each video stream, and one for a session that has none."""
        for index, source in enumerate(self.sources or [None]):
            key = self.session if index == 0 or source is None else source.key
            who = self.publisher
            has_video = source is not None and source.key in shown
            name = f"{who.name or ''} {UNREADABLE}" if source is not None and source.unreadable else who.name
            yield Tile(key, name, who.role, who.source, has_video), source


class Scene:
    """Takes sources, gives encoded pictures up to any instant; times are on the recording's clock."""

    def __init__(self, plan: RecordingPlan, fragment_ns: int) -> None:
        canvas = plan.canvas
        self._compositor = Compositor(canvas)
        self._encoder = VideoEncoder(canvas, crf=plan.video_crf, bitrate_max=plan.video_bitrate_max)
        self.track = VideoTrack(VIDEO_TRACK, VIDEO_TIMESCALE, canvas.width, canvas.height, self._encoder.avcc)
        self.pacer = Pacer(fps=canvas.fps, fragment_ns=fragment_ns)
        self._lengthening = FragmentJoiner(fragment_ns)
        self.composed = 0
        self.skipped = 0
        self._seats: dict[str, _Seat] = {}
        self._homeless: dict[str, list[PictureSource]] = {}  # of sessions that have not joined yet
        self._shown: dict[str, Picture] = {}  # by source
        self._tiles: list[tuple[str, PictureSource | None]] = []  # on the canvas, by key
        self._rearranged_at: int | None = 0  # when the tiles became others, until that is on the canvas

    def join(self, session: str, publisher: Publisher, at_ns: int) -> None:
        """A participant takes a seat."""
        seat = self._seats[session] = _Seat(session, publisher)
        seat.sources = self._homeless.pop(session, [])
        self._rearrange(at_ns)

    def leave(self, session: str, at_ns: int) -> None:
        """The seat is cleared."""
        self._seats.pop(session, None)
        self._homeless.pop(session, None)
        self._rearrange(at_ns)

    def add(self, source: PictureSource, at_ns: int) -> None:
        """A video stream began."""
        seat = self._seats.get(source.session)
        if seat is None:
            self._homeless.setdefault(source.session, []).append(source)
        else:
            seat.sources.append(source)
            self._rearrange(at_ns)

    def remove(self, source: PictureSource, at_ns: int) -> None:
        """A video stream ended."""
        seat = self._seats.get(source.session)
        sources = self._homeless.get(source.session, []) if seat is None else seat.sources
        if source in sources:
            sources.remove(source)
        self._shown.pop(source.key, None)
        self._rearrange(at_ns)

    def spend(self, effort: QualityLevel) -> None:
        """Make fewer pictures from now on, or code them with less effort or narrower."""
        self.pacer.slow_down(effort.frame_rate_divisor)
        if self._encoder.set_effort(thorough=effort.thorough, divisor=effort.resolution_divisor):
            self.pacer.cut_next()  # it counts from a key frame on
            self._lengthening.begin_next()

    def relieve(self) -> None:
        """Let the stream rest that costs more to decode than all others together, when there is one."""
        sources = list(self._seated())
        costliest = max(sources, key=lambda source: source.spent_ns, default=None)
        if costliest is not None and 2 * costliest.spent_ns > sum(source.spent_ns for source in sources):
            costliest.rest()
        for source in sources:
            source.reset_spent()

    def render(self, until_ns: int, zero_ns: int) -> Iterator[Made]:
        """Make every picture whose time has come."""
        while (closing := self._closing(zero_ns)) <= until_ns:
            made = self._make(closing, zero_ns)
            if made is not None:
                yield made

    def finish(self, end_ns: int, zero_ns: int) -> list[EncodedPicture]:
        """Make the last picture of what is still pending, and empty the encoder."""
        pictures: list[EncodedPicture] = []
        if self.pacer.last_ns < 0 or self._first_pending(zero_ns, end_ns) < end_ns:
            made = self._make(end_ns - 1, zero_ns)
            pictures += made.pictures if made is not None else []
        return pictures + self._encoder.flush()

    def _closing(self, zero_ns: int) -> int:
        """Until when frames belong to the next picture."""
        if self.pacer.last_ns < 0:
            return START_NS
        deadline = self.pacer.deadline()
        first = self._first_pending(zero_ns, deadline)
        return deadline if first >= deadline else self.pacer.closing(first)

    def _first_pending(self, zero_ns: int, otherwise: int) -> int:
        times = [head - zero_ns for source in self._seated() if (head := source.head_ns) is not None]
        if self._rearranged_at is not None:
            times.append(self._rearranged_at)
        return min(times, default=otherwise)

    def _rearrange(self, at_ns: int) -> None:
        """The tiles are others from now on."""
        self._rearranged_at = at_ns if self._rearranged_at is None else min(self._rearranged_at, at_ns)

    def _seated(self) -> Iterator[PictureSource]:
        for seat in self._seats.values():
            yield from seat.sources

    def _make(self, closing: int, zero_ns: int) -> Made | None:
        opening = self.pacer.last_ns < 0
        due = opening or closing >= self.pacer.deadline()
        times = [at - zero_ns for at in self._update(zero_ns + closing, only_first=opening)]
        self._arrange()
        changed = self._compositor.damaged
        if not due and not changed:
            return None
        at, cut = self.pacer.make(sum(times) // len(times) if times else closing)
        pts = at * (VIDEO_TIMESCALE // 1000) // (NS // 1000)
        keyframe = self._lengthening.add(at, pts, cut=cut)
        if keyframe and self._compositor.width != self._encoder.width:
            self._compositor.set_width(self._encoder.width)
        picture = self._compositor.compose()
        self.composed += 1
        pictures = self._encoder.encode(picture, pts, force_keyframe=keyframe)
        self._lengthening.coded(pictures)
        return Made(pictures, pts if cut and not opening else None, keyframe)

    def _update(self, until_ns: int, *, only_first: bool) -> list[int]:
        """Let every source go on to `until_ns` (local time); return the capture times of new pictures."""
        times = []
        for source in self._seated():
            before, unreadable = source.frames, source.unreadable
            shown = source.show(until_ns, only_first=only_first)
            if source.unreadable is not unreadable:
                self._rearrange(until_ns)
            if shown is not None:
                picture, at = shown
                if source.key not in self._shown:
                    self._rearrange(at)
                self._shown[source.key] = picture
                times.append(at)
                self.skipped += source.frames - before - 1
            elif self._frozen(source, until_ns):
                del self._shown[source.key]
                self._rearrange(until_ns)
        return times

    def _frozen(self, source: PictureSource, until_ns: int) -> bool:
        kind = self._seats[source.session].publisher.source
        return (
            kind is SourceKind.CAMERA
            and source.key in self._shown
            and source.shown_ns is not None
            and until_ns - source.shown_ns > FROZEN_NS
        )

    def _arrange(self) -> None:
        """Give the compositor the tiles, when they changed, and what they show."""
        if self._rearranged_at is not None:
            tiles = [pair for seat in self._seats.values() for pair in seat.tiles(self._shown)]
            self._compositor.set_tiles([tile for tile, _ in tiles])
            self._tiles = [(tile.key, source) for tile, source in tiles]
            self._rearranged_at = None
        for key, source in self._tiles:
            self._compositor.show(key, None if source is None else self._shown.get(source.key))
