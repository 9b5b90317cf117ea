"""What is seen of publishers in a recording's pictures: pure values and counting."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from media.video.layout import Rectangle, Tile, arrange, fit
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, MediaEvent
from recorder.load.publisher.clip import CLIP_S
from recorder.load.publisher.profile import Feed

SETTLE_S = 0.6  # around a change of who is there: tiles move, first key frames come
SHORTEST_S = 1.0

Numbers = list[tuple[float, int]]  # when a card's picture was shown, and its number


class Stretch(NamedTuple):
    """A time in which the same feeds were there, in the order of their tiles; seconds on the file's clock."""

    begin_s: float
    end_s: float
    there: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures `expected` by the clock, `found` in the file, and the longest time without a new one."""

    expected: int = 0
    found: int = 0
    gap_s: float = 0.0

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(self.expected + other.expected, self.found + other.found, max(self.gap_s, other.gap_s))


def stretches(events: Iterable[MediaEvent], end_s: float) -> list[Stretch]:
    """The times between two changes of who is there, without what is settling, and without short ones."""
    there: list[str] = []
    begin_s, found = 0.0, []
    for event in [*events, MediaEvent(kind="ended", at_s=end_s, participant="")]:
        if event.kind not in ("joined", "left", "ended") or event.participant is None:
            continue
        if there and event.at_s - SETTLE_S - begin_s >= SHORTEST_S:
            found.append(Stretch(begin_s, event.at_s - SETTLE_S / 2, tuple(there)))
        begin_s = event.at_s + SETTLE_S
        if event.kind == "joined":
            there.append(event.participant)
        elif event.participant in there:
            there.remove(event.participant)
    return found


def counted(numbers: Numbers, stretch: Stretch, fps: int) -> Seen:
    """How many of a feed's pictures were shown in a stretch: the numbers begin again with each clip."""
    found, gap_s, last, last_s = 0, 0.0, None, stretch.begin_s
    for at_s, number in numbers:
        forward = (number - last) % (CLIP_S * fps) if last is not None else 1
        if 0 < forward < CLIP_S * fps // 2:  # a new one; what is shown again, or late, is none
            found, gap_s = found + 1, max(gap_s, at_s - last_s)
            last, last_s = number, at_s
    expected = int((stretch.end_s - stretch.begin_s) * fps)
    return Seen(expected, found, max(gap_s, stretch.end_s - last_s))


def places(there: tuple[str, ...], feeds: dict[str, Feed], width: int, height: int) -> dict[str, Rectangle]:
    """Where everybody's card is on a canvas of this size."""
    sizes = {name: feeds[name].size for name in there if name in feeds}
    tiles = [
        Tile(name, name, Role.VISITOR, feeds[name].source, size is not None) for name, size in sizes.items()
    ]
    areas = arrange(Canvas(width=width, height=height), tiles)
    return {
        name: fit(*size, area)
        for (name, size), area in zip(sizes.items(), areas, strict=True)
        if size is not None
    }
