"""The composite picture: every tile scaled at most once into its place, and only when it changed.

The canvas is one picture that is painted in place. What `compose` returns is that picture itself: it must be
encoded before the next `compose`. The encoder copies a picture while it takes it (x264 always does, see
tests/media/test_encoding.py), so painting and encoding one after the other need no second canvas.
"""

from dataclasses import dataclass, field

import numpy as np

from media.video.anamorphic_scaler import AnamorphicScaler
from media.video.labels import NameTag, name_tag, placeholder
from media.video.layout import Rectangle, Tile, arrange, fit
from media.video.scaler import Picture, Planes, Samples, Scaler, from_rgba, new_picture, planes, same
from recorder.kernel.media import Canvas

BACKGROUND = (40, 131, 126)  # labels.BACKGROUND_RGB as Y, Cb, Cr
TAG_HEIGHT_MIN = 20  # px; letters of 12 px survive coding and can be read
TAG_HEIGHT_MAX = 40


@dataclass(slots=True)
class _Slot:
    """A tile in its region: the picture it shows, and where that was last painted."""

    tile: Tile
    region: Rectangle
    picture: Picture | None = None
    damaged: bool = True
    painted: Rectangle | None = None
    placeholder: Picture | None = None
    scaler: Scaler = field(default_factory=Scaler)


class Compositor:
    """Paints the tiles of one recording; one thread uses it, the one that encodes."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._slots: dict[str, _Slot] = {}
        self.set_width(canvas.width)

    @property
    def damaged(self) -> bool:
        """Whether the next `compose` gives another picture than the last one."""
        return not self._cleared or any(slot.damaged for slot in self._slots.values())

    def set_width(self, columns: int) -> None:
        """Let the next pictures have so many columns for the canvas's width; an even number."""
        self._picture = new_picture(columns, self._canvas.height)
        self._planes = planes(self._picture)
        self._columns = AnamorphicScaler(self._canvas.width, columns)
        self._cleared = False

    @property
    def width(self) -> int:
        """How many columns the pictures have."""
        return self._picture.width

    def set_tiles(self, tiles: list[Tile]) -> None:
        """Arrange these tiles; those that keep their region keep what is painted there."""
        regions = arrange(self._canvas, tiles)
        before, self._slots = self._slots, {}
        moved = len(before) != len(tiles)
        for tile, region in zip(tiles, regions, strict=True):
            old = before.get(tile.key)
            slot = _Slot(tile, region) if old is None else old
            if (slot.tile.name, slot.tile.source) != (tile.name, tile.source):
                slot.placeholder, slot.damaged = None, True
            if old is None or slot.region != region:
                moved = True
            slot.tile, slot.region = tile, region
            self._slots[tile.key] = slot
        if moved:
            self._cleared = False

    def show(self, key: str, picture: Picture | None) -> None:
        """Let the tile show this picture, or for None its placeholder.

        The same picture, or one with the same samples (a shared screen at rest), damages nothing. The
        picture is kept and must not be written to.
        """
        slot = self._slots[key]
        if picture is slot.picture:
            return
        if picture is not None and slot.picture is not None and same(picture, slot.picture):
            return
        slot.picture, slot.damaged = picture, True

    def compose(self) -> Picture:
        """Paint what changed and return the canvas; valid until the next call."""
        if not self._cleared:
            _fill(self._planes, Rectangle(0, 0, self._picture.width, self._canvas.height))
            for slot in self._slots.values():
                slot.damaged, slot.painted, slot.placeholder = True, None, None
            self._cleared = True
        for slot in self._slots.values():
            if slot.damaged:
                self._paint(slot)
                slot.damaged = False
        return self._picture

    def _paint(self, slot: _Slot) -> None:
        picture = slot.picture or self._placeholder(slot)
        quarter_turns = picture.rotation // 90 % 4
        width, height = picture.width, picture.height
        if quarter_turns % 2:
            width, height = height, width
        area = fit(width, height, slot.region)
        place = self._columns.place(area)
        if slot.painted is not None and slot.painted != place:
            _fill(self._planes, slot.painted)
        size = (place.height, place.width) if quarter_turns % 2 else (place.width, place.height)
        _paste(self._planes, planes(slot.scaler.scale(picture, *size)), place, quarter_turns)
        slot.painted = place
        if slot.tile.is_participant or slot.picture is None:
            self._tag(slot.tile.name, area)

    def _tag(self, name: str, area: Rectangle) -> None:
        height = min(TAG_HEIGHT_MAX, max(TAG_HEIGHT_MIN, area.height // 13 // 2 * 2))
        margin = max(4, height // 3 // 2 * 2)
        if area.height < height + 2 * margin or area.width < 3 * height:
            return  # too small to read anything
        tag = name_tag(name, height, area.width - 2 * margin)
        place = Rectangle(area.x + margin, area.y + area.height - margin - tag.height, tag.width, tag.height)
        tag = self._columns.tag(tag)
        at = self._columns.place(place)
        _blend(_windows(self._planes, Rectangle(at.x, at.y, tag.width, tag.height)), tag)

    def _placeholder(self, slot: _Slot) -> Picture:
        """A card of the canvas's shape, so that it stands among cameras like one of them."""
        if slot.placeholder is None:
            area = fit(self._canvas.width, self._canvas.height, slot.region)
            card = placeholder(slot.tile.name, slot.tile.key, area.width, area.height)
            slot.placeholder = from_rgba(card, area.width, area.height)
        return slot.placeholder


def _windows(canvas: Planes, area: Rectangle) -> tuple[Samples, Samples, Samples]:
    """The three parts of the planes under an area, writable."""
    x, y, width, height = area.x, area.y, area.width, area.height
    half = (slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2))
    return canvas.y[y : y + height, x : x + width], canvas.u[half], canvas.v[half]


def _fill(canvas: Planes, area: Rectangle) -> None:
    for window, value in zip(_windows(canvas, area), BACKGROUND, strict=True):
        window[:] = value


def _paste(canvas: Planes, picture: Planes, area: Rectangle, quarter_turns: int) -> None:
    for window, plane in zip(_windows(canvas, area), picture, strict=True):
        window[:] = np.rot90(plane, quarter_turns) if quarter_turns else plane


def _blend(windows: tuple[Samples, Samples, Samples], tag: NameTag) -> None:
    luma, *chroma = windows
    luma[:] = (luma * tag.luma_keep + tag.luma_add) >> 8
    for window in chroma:
        window[:] = (window * tag.chroma_keep + tag.chroma_add) >> 8
