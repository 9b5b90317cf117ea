"""The size of coded pictures, and what decoding them takes. Pure values."""

from dataclasses import dataclass

_ALIGNMENT = 64


class UnreadableHeaderError(Exception):
    """A header that no decoder should be given."""


@dataclass(frozen=True, slots=True)
class CodedSize:
    """What decoding a stream takes from now on."""

    width: int
    height: int
    pictures: int  # that the decoder may hold at once
    bytes_per_pixel: float = 1.5  # 8 bit, 4:2:0

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def padded_pixels(self) -> int:
        """What libav counts: it makes rows and columns longer for its own sake."""
        return -(-self.width // _ALIGNMENT) * _ALIGNMENT * -(-self.height // _ALIGNMENT) * _ALIGNMENT

    @property
    def decoder_bytes(self) -> int:
        """Memory that the decoder's pictures take."""
        return round(self.pixels * self.bytes_per_pixel * self.pictures)
