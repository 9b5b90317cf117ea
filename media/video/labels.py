"""Names on the canvas, drawn by Pillow once and blended into planes afterwards: tags and placeholders."""

import colorsys
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt
from anyascii import anyascii
from PIL import Image, ImageDraw, ImageFont

from recorder.kernel.limits import PUBLISHERS_PER_RECORDING_MAX

# Looked for in the machine's font directories, widest coverage of scripts first.
FONT_FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "wqy-microhei.ttc",
    "LiberationSans-Regular.ttf",
)
NAMELESS = "Guest"
TAG_OPACITY = 0.62  # of the dark plate: white text keeps a contrast of 4.5:1 over a white picture
_WHITE_Y, _BLACK_Y, _NEUTRAL = 235, 16, 128
BACKGROUND_RGB = (24, 28, 34)  # of the canvas, around and behind the tiles
_WHITE = (255, 255, 255)
_CARD = (38, 44, 53)
_ELLIPSIS = "…"
_SUPERSAMPLING = 4  # the circle is drawn larger and reduced: Pillow's ellipses have no smooth edges
_TAGS_CACHED_MAX = 4 * PUBLISHERS_PER_RECORDING_MAX  # each a few KiB: every name at the sizes lately used

Font = ImageFont.FreeTypeFont
Weights = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class NameTag:
    """A translucent plate with a name, as weights: a sample s becomes (s * keep + add) / 256.

    Luma is `height` x `width`, chroma half of both; the plate and its text have no colour.
    """

    width: int
    height: int
    luma_keep: Weights
    luma_add: Weights
    chroma_keep: Weights
    chroma_add: Weights


@lru_cache(_TAGS_CACHED_MAX)
def name_tag(name: str, height: int, width_max: int) -> NameTag:
    """Draw the tag of this name, `height` pixels high and at most `width_max` wide; a longer name is cut."""
    height = max(8, height // 2 * 2)
    face, text = legible(name)
    font = _font(face, max(6, round(height * 0.58)))
    padding = round(height * 0.38)
    text = _shortened(text, font, width_max - 2 * padding)
    width = min(max(2, width_max // 2 * 2), (int(font.getlength(text)) + 2 * padding + 2) // 2 * 2)
    plate = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), 0)
    ImageDraw.Draw(plate).rounded_rectangle(
        (0, 0, plate.width - 1, plate.height - 1), round(height * 0.28) * _SUPERSAMPLING, fill=255
    )
    ink = Image.new("L", (width, height), 0)
    ImageDraw.Draw(ink).text((padding, height / 2), text, fill=255, font=font, anchor="lm")
    return _weights(_reduced(plate), np.asarray(ink) / 255)


def placeholder(name: str, key: str, width: int, height: int) -> bytes:
    """Draw who is here without a picture: initials in a circle on a dark card, as packed RGBA rows."""
    card = Image.new("RGB", (width, height), BACKGROUND_RGB)
    edge = max(1, min(width, height) // 180)  # neighbouring cards stay apart
    card.paste(_CARD, (edge, edge, width - edge, height - edge))
    diameter = max(8, min(width, height) * 2 // 5)
    circle = Image.new("L", (diameter * _SUPERSAMPLING, diameter * _SUPERSAMPLING), 0)
    ImageDraw.Draw(circle).ellipse((0, 0, circle.width - 1, circle.height - 1), fill=255)
    corner = (width - diameter) // 2, (height - diameter) // 2
    card.paste(
        _colour_of(key), (*corner, corner[0] + diameter, corner[1] + diameter), circle.reduce(_SUPERSAMPLING)
    )
    face, text = legible(name)
    font = _font(face, max(6, round(diameter * 0.4)))
    ImageDraw.Draw(card).text((width / 2, height / 2), initials(text), fill=_WHITE, font=font, anchor="mm")
    return card.convert("RGBA").tobytes()


def initials(name: str) -> str:
    """The first letters of the first and the last word; one for a single word."""
    words = [word for word in name.split() if word[0].isalnum()] or name.split()
    letters = [words[0][0], words[-1][0]] if len(words) > 1 else [words[0][0]]
    return "".join(letters).upper()


@lru_cache(_TAGS_CACHED_MAX)
def legible(name: str) -> tuple[str | None, str]:
    """Choose the font file that shows most of the name (None: the one inside Pillow) and what it can show.

    Characters without a glyph are transliterated to Latin; what is no letter in any script is left out.
    """
    clean = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", name)
        if character.isspace() or unicodedata.category(character)[0] not in "C"
    )
    face = max(_faces(), key=lambda face: sum(_has_glyph(face, character) for character in clean))
    shown = "".join(
        character if _has_glyph(face, character) else _replacement(character) for character in clean
    )
    return face, " ".join(shown.split()) or NAMELESS


def _replacement(character: str) -> str:
    return anyascii(character) if unicodedata.category(character)[0] in "LN" else ""


@cache
def _faces() -> tuple[str | None, ...]:
    found: list[str | None] = []
    for file in FONT_FILES:
        try:
            found.append(str(ImageFont.truetype(file, 16).path))
        except OSError:
            continue  # not installed here
    return (*found, None)


@lru_cache(256)
def _font(face: str | None, size: int) -> Font:
    font = ImageFont.load_default(size) if face is None else ImageFont.truetype(face, size)
    if not isinstance(font, Font):
        raise TypeError("Pillow was built without FreeType")
    return font


@lru_cache(4096)
def _has_glyph(face: str | None, character: str) -> bool:
    if character == " ":
        return True
    font = _font(face, 16)
    return bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffe"))  # a noncharacter: .notdef


def _shortened(text: str, font: Font, width_max: int) -> str:
    if font.getlength(text) <= width_max:
        return text
    while text and font.getlength(text + _ELLIPSIS) > width_max:
        text = text[:-1].rstrip()
    return text + _ELLIPSIS


def _reduced(mask: Image.Image) -> npt.NDArray[np.floating]:
    return np.asarray(mask.reduce(_SUPERSAMPLING)) / 255


def _weights(plate: npt.NDArray[np.floating], ink: npt.NDArray[np.floating]) -> NameTag:
    cover = plate * TAG_OPACITY * (1 - ink) + ink
    light = plate * TAG_OPACITY * (1 - ink) * _BLACK_Y + ink * _WHITE_Y
    height, width = cover.shape
    chroma = cover.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return NameTag(
        width=width,
        height=height,
        luma_keep=np.rint(256 * (1 - cover)).astype(np.uint16),
        luma_add=np.rint(256 * light).astype(np.uint16),
        chroma_keep=256 - np.rint(256 * chroma).astype(np.uint16),
        chroma_add=np.rint(256 * chroma).astype(np.uint16) * _NEUTRAL,
    )


def _colour_of(key: str) -> tuple[int, int, int]:
    """A muted colour of its own for each key, the same in every recording."""
    red, green, blue = colorsys.hls_to_rgb(crc32(key.encode()) % 360 / 360, 0.42, 0.38)
    return round(red * 255), round(green * 255), round(blue * 255)
