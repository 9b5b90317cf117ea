"""Moving pictures made from arithmetic: a talking head with a lamp that flashes, and a screen at work."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

from recorder.demo.voice import BEEP_S, Samples, loudness

Colour = tuple[int, int, int]
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (12, 12, 14)


class Scene(Protocol):
    """Something that can be looked at: `picture(at_s)` is RGB, `width` x `height`."""

    width: int
    height: int

    def picture(self, at_s: float) -> Image.Image: ...


@dataclass
class TalkingHead:
    """A face whose mouth follows its voice, before a drifting wall; a lamp flashes with each beep."""

    width: int
    height: int
    wall: Colour
    skin: Colour
    hair: Colour
    voice: Samples
    flashes: bool = True

    def picture(self, at_s: float) -> Image.Image:
        image = self._background.copy()
        draw = ImageDraw.Draw(image)
        unit = self.height / 360
        sway = 10 * unit * _triangle(at_s / 4)
        x, y = self.width / 2 + sway, self.height * 0.52 + 3 * unit * _triangle(at_s / 1.7)
        self._shoulders(draw, x, unit)
        draw.ellipse((x - 84 * unit, y - 116 * unit, x + 84 * unit, y + 70 * unit), fill=self.hair)
        draw.ellipse((x - 75 * unit, y - 88 * unit, x + 75 * unit, y + 100 * unit), fill=self.skin)
        self._eyes(draw, x, y, unit, blink=at_s % 3.1 < 0.12)
        opened = 3 + 24 * loudness(self.voice, at_s)
        draw.ellipse(
            (x - 30 * unit, y + (52 - opened / 2) * unit, x + 30 * unit, y + (52 + opened) * unit),
            fill=(120, 30, 40),
        )
        if self.flashes:
            self._lamp(draw, lit=at_s % 1.0 < BEEP_S)
        return image

    @cached_property
    def _background(self) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height), self.wall)
        draw = ImageDraw.Draw(image)
        for line in range(0, self.width, self.width // 8):
            shade = tuple(max(0, c - 14) for c in self.wall)
            draw.rectangle((line, 0, line + self.width // 16, self.height), fill=shade)
        return image

    def _shoulders(self, draw: ImageDraw.ImageDraw, x: float, unit: float) -> None:
        draw.ellipse((x - 170 * unit, 270 * unit, x + 170 * unit, 460 * unit), fill=(50, 60, 90))

    def _eyes(self, draw: ImageDraw.ImageDraw, x: float, y: float, unit: float, *, blink: bool) -> None:
        for side in (-1, 1):
            centre = x + side * 30 * unit
            half = 1.5 * unit if blink else 9 * unit
            _oval(draw, centre, y - 25 * unit, 12 * unit, half, _WHITE)
            _oval(draw, centre, y - 25 * unit, 5 * unit, half / 2, _BLACK)

    def _lamp(self, draw: ImageDraw.ImageDraw, *, lit: bool) -> None:
        side = self.height // 5
        draw.rectangle((0, 0, side, side), fill=_WHITE if lit else _BLACK)


@dataclass
class SharedScreen:
    """A document on a screen, one more line typed every half second."""

    width: int = 1920
    height: int = 1080
    line_every_s: float = 0.5

    def __post_init__(self) -> None:
        self._font = ImageFont.load_default(30)
        self._title = ImageFont.load_default(44)
        self._drawn: tuple[int, Image.Image] = (0, self._draw(0))

    def picture(self, at_s: float) -> Image.Image:
        lines = 1 + int(at_s / self.line_every_s) % 22
        if lines != self._drawn[0]:
            self._drawn = (lines, self._draw(lines))
        return self._drawn[1]

    def _draw(self, lines: int) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height), (236, 238, 242))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, self.width, 64), fill=(32, 52, 92))
        draw.text((40, 8), "Mortgage offer - customer copy", font=self._title, fill=_WHITE)
        draw.rectangle((160, 100, self.width - 160, self.height - 40), fill=_WHITE)
        for line in range(lines):
            rate, years = 3.1 + 0.05 * line, 5 + line
            text = f"{line + 1:2}.  Term {line + 1} of the agreement: {rate:.2f} % over {years} years"
            draw.text((220, 130 + 40 * line), text, font=self._font, fill=(20, 24, 30))
        return image


def _triangle(turns: float) -> float:
    """A triangle wave between -1 and 1 with period 1."""
    return 4 * abs(turns % 1 - 0.5) - 1


def _oval(draw: ImageDraw.ImageDraw, x: float, y: float, half_w: float, half_h: float, fill: Colour) -> None:
    draw.ellipse((x - half_w, y - half_h, x + half_w, y + half_h), fill=fill)
