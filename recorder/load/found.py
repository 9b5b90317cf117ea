"""What is found in a downloaded recording: pictures by their numbers, flashes by their beeps."""

from dataclasses import dataclass, field
from pathlib import Path

from media.check.av_offset import AvOffset, Region, measure
from media.check.file import Picture, check_file, decoded_frames
from recorder.kernel.media import MediaEvent
from recorder.load.publisher.card import Luma, lamp_side, luma_of, read
from recorder.load.publisher.profile import Feed
from recorder.load.seen import Numbers, Seen, Stretch, counted, places, stretches

_NO_PAIRS = AvOffset([], [], [])


@dataclass(frozen=True, slots=True)
class Found:
    """What one recording holds; `offsets_s` of beep to flash of the first feed, `seen` by participant."""

    ok: bool
    problems: tuple[str, ...]
    duration_s: float
    seen: dict[str, Seen] = field(default_factory=dict)
    offsets_s: tuple[float, ...] = ()
    flashes: int = 0


def examine(file: Path, events: list[MediaEvent], feeds: dict[str, Feed], *, seconds: float) -> Found:
    """Read a recording of `seconds`, in which `feeds` took part by these names."""
    report = check_file(file)
    during = stretches(events, min(seconds, report.duration_s))
    reading = _Reading(during, feeds)
    with file.open("rb") as source:
        for decoded in decoded_frames(source):
            if isinstance(decoded, Picture) and decoded.frame.time is not None:
                reading.take(decoded.frame.time, luma_of(decoded.frame))
    pairs = _pairs(file, during, feeds, reading.shape)
    return Found(
        ok=report.ok,
        problems=tuple(problem.code for problem in report.problems),
        duration_s=report.duration_s,
        seen=reading.seen(),
        offsets_s=tuple(pairs.offsets_s),
        flashes=len(pairs.flashes_s),
    )


def _pairs(
    file: Path, during: list[Stretch], feeds: dict[str, Feed], shape: tuple[int, int] | None
) -> AvOffset:
    """The first feed's beeps and flashes, in the longest time without a change."""
    if shape is None or not during:
        return _NO_PAIRS
    longest = max(during, key=lambda stretch: stretch.end_s - stretch.begin_s)
    card = places(longest.there, feeds, *shape).get(next(iter(feeds)))
    if card is None:
        return _NO_PAIRS
    side = lamp_side(card.height)
    lamp = Region(card.x, card.y, side, side)
    return measure(file, region=lamp, between_s=(longest.begin_s, longest.end_s))


class _Reading:
    """One pass through a file's pictures."""

    def __init__(self, during: list[Stretch], feeds: dict[str, Feed]) -> None:
        self._during, self._feeds = during, feeds
        self._numbers: dict[tuple[int, str], Numbers] = {}
        self.shape: tuple[int, int] | None = None  # width and height of the last picture

    def take(self, at_s: float, luma: Luma) -> None:
        height, width = luma.shape
        self.shape = width, height
        for index, stretch in enumerate(self._during):
            if stretch.begin_s <= at_s < stretch.end_s:
                for name, card in places(stretch.there, self._feeds, width, height).items():
                    shown = luma[card.y : card.y + card.height, card.x : card.x + card.width]
                    self._read((index, name), at_s, shown)

    def _read(self, key: tuple[int, str], at_s: float, card: Luma) -> None:
        number = read(card)
        if number is not None:
            self._numbers.setdefault(key, []).append((at_s, number))

    def seen(self) -> dict[str, Seen]:
        """Everybody with pictures who was there."""
        found: dict[str, Seen] = {}
        for index, stretch in enumerate(self._during):
            for name in stretch.there:
                if name in self._feeds and self._feeds[name].size is not None:
                    numbers = self._numbers.get((index, name), [])
                    one_more = counted(numbers, stretch, self._feeds[name].fps)
                    found[name] = found.get(name, Seen()) + one_more
        return found
