"""Layouts: regions of the canvas for tiles, by arithmetic alone; the same tiles give the same regions.

Regions never overlap, lie inside the canvas and have even sizes and offsets, because 4:2:0 pictures carry one
colour sample for two by two pixels. Regions touch without a gutter: two 640x360 cameras then fit a 1280x720
canvas to the pixel and are pasted without being scaled.
"""

from dataclasses import dataclass
from math import ceil, isqrt

from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, SourceKind

STRIP_SHARE = 6  # the filmstrip is a sixth of the canvas's width: six tiles fill one column of it
CROWDED_STRIP_SHARE = 4  # a quarter when there are more
MACROBLOCK = 16  # px; the strip's edge lies on one, so that still and moving picture share no block


@dataclass(frozen=True, slots=True)
class Tile:
    """One stream, or one participant without a picture; `key` is unique on the canvas."""

    key: str
    name: str
    role: Role
    source: SourceKind
    has_video: bool

    @property
    def is_participant(self) -> bool:
        """Whether the tile shows a person, not something that is shared."""
        return self.source in (SourceKind.CAMERA, SourceKind.MICROPHONE)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """An area of the canvas, in pixels from its upper left corner; all four even."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region(Rectangle):
    """The area that belongs to the tile named by `key`."""

    key: str


def arrange(canvas: Canvas, tiles: list[Tile]) -> list[Region]:
    """Return one region for each tile, in the order of the tiles.

    What is shared last and has a picture gets the focus, with a filmstrip of everybody and everything else at
    its right; without it all tiles stand in a grid. ValueError when the canvas is too small to hold them.
    """
    whole = Rectangle(0, 0, canvas.width // 2 * 2, canvas.height // 2 * 2)
    focus = next((tile for tile in reversed(tiles) if tile.has_video and not tile.is_participant), None)
    if focus is None or len(tiles) == 1:
        areas = dict(zip((tile.key for tile in tiles), _grid(whole, len(tiles)), strict=True))
    else:
        others = [tile.key for tile in tiles if tile.key != focus.key]
        main, strip = _split(whole, len(others))
        areas = dict(zip(others, strip, strict=True)) | {focus.key: main}
    return [
        Region(area.x, area.y, area.width, area.height, tile.key)
        for tile, area in ((tile, areas[tile.key]) for tile in tiles)
    ]


def fit(width: int, height: int, into: Rectangle) -> Rectangle:
    """Return the largest area of the picture's shape inside `into`, centred, even, at least two by two."""
    if width <= 0 or height <= 0:
        raise ValueError("a picture has a positive size")
    if width * into.height >= height * into.width:
        inner_width, inner_height = into.width, _nearest_even(height * into.width, width)
    else:
        inner_width, inner_height = _nearest_even(width * into.height, height), into.height
    inner_width, inner_height = min(inner_width, into.width), min(inner_height, into.height)
    return _centred(into, inner_width, inner_height)


def _grid(area: Rectangle, count: int) -> list[Rectangle]:
    """As many columns as rows or one more; rows stand close together, a single one takes all the height."""
    if count == 0:
        return []
    columns = isqrt(count - 1) + 1
    rows = ceil(count / columns)
    height = area.height if rows == 1 else rows * area.height / columns
    return _cells(_centred(area, area.width, _even(height)), count, columns, rows)


def _split(area: Rectangle, others: int) -> tuple[Rectangle, list[Rectangle]]:
    """The focus at the left and the cells of the filmstrip at the right of it."""
    share = STRIP_SHARE if others <= STRIP_SHARE else CROWDED_STRIP_SHARE
    width = max(2, area.width // share // MACROBLOCK * MACROBLOCK)
    focus = Rectangle(area.x, area.y, area.width - width, area.height)
    columns = 1
    while ceil(others / columns) * width > columns * area.width:  # rows of the canvas's shape are too high
        columns += 1
    rows = ceil(others / columns)
    height = _even(min(area.height, rows * area.height * width / (columns * area.width)))
    strip = _centred(Rectangle(focus.width, area.y, width, area.height), width, height)
    return focus, _cells(strip, others, columns, rows)


def _cells(area: Rectangle, count: int, columns: int, rows: int) -> list[Rectangle]:
    """Equal cells in reading order; a last row that is not full is centred."""
    width, height = _even(area.width / columns), _even(area.height / rows)
    if width < 2 or height < 2:
        raise ValueError(f"{count} tiles do not fit into {area.width} x {area.height} pixels")
    cells = []
    for row in range(rows):
        in_row = min(columns, count - row * columns)
        line = _centred(Rectangle(area.x, area.y + row * height, area.width, height), in_row * width, height)
        cells += [Rectangle(line.x + column * width, line.y, width, height) for column in range(in_row)]
    return cells


def _centred(area: Rectangle, width: int, height: int) -> Rectangle:
    return Rectangle(
        area.x + _even((area.width - width) / 2), area.y + _even((area.height - height) / 2), width, height
    )


def _even(length: float) -> int:
    return int(length) // 2 * 2


def _nearest_even(numerator: int, denominator: int) -> int:
    return max(2, (numerator + denominator) // (2 * denominator) * 2)
