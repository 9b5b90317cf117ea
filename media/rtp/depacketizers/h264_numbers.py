"""Frame numbers of H.264 (ISO/IEC 14496-10 7.4.3): whether a picture that others refer to is missing."""

_IDR = 5
_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


class FrameNumbers:
    """The frame numbers of one stream, as far as its first parameter sets tell how to read them."""

    def __init__(self) -> None:
        self._parameters = b""
        self._bits: int | None = None  # of a frame number
        self._last = b""  # picture's slice: read where something is lost behind it, not for every picture

    def parameters(self, unit: bytes) -> None:
        """A sequence parameter set came; by another one the pictures before it cannot be read."""
        if unit != self._parameters:
            self._parameters, self._last = unit, b""
            self._bits = _bits_of_frame_number(unit)

    def seen(self, slice_unit: bytes) -> None:
        """The last whole picture began with this slice."""
        self._last = slice_unit

    def follows(self, slice_unit: bytes, lost: int) -> bool:
        """Whether this slice's picture follows the last one directly, though packets between are lost."""
        last = self._number(self._last)
        if last is None or self._bits is None or lost >= 1 << self._bits:
            return False
        referred_to = self._last[0] & 0x60 != 0
        return self._number(slice_unit) == (last + referred_to) & ((1 << self._bits) - 1)

    def _number(self, unit: bytes) -> int | None:
        if not unit or self._bits is None:
            return None
        if unit[0] & 0x1F == _IDR:
            return 0
        try:
            bits = _Bits(unit[1:])
            for _ in range(3):  # first macroblock, type, picture parameter set
                bits.exponential()
            return bits.read(self._bits)
        except IndexError:
            return None


def _bits_of_frame_number(unit: bytes) -> int | None:
    """How long frame numbers are, by a sequence parameter set; None where it is not understood."""
    try:
        bits = _Bits(unit[1:])
        profile = bits.read(8)
        bits.read(16)  # constraints and level
        bits.exponential()  # the set's id
        if profile in _CHROMA_PROFILES:
            if bits.exponential() == 3:  # chroma format
                bits.read(1)
            bits.exponential()
            bits.exponential()  # bit depths
            bits.read(1)
            if bits.read(1):  # scaling lists
                return None
        return min(16, bits.exponential() + 4)
    except IndexError:
        return None


class _Bits:
    """Bits of a NAL unit's payload, without what prevents start codes in it. IndexError behind its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data.replace(b"\0\0\3", b"\0\0")
        self._position = 0

    def read(self, count: int) -> int:
        """An unsigned number of so many bits."""
        value = 0
        for _ in range(count):
            byte = self._data[self._position >> 3]
            value = value << 1 | byte >> (7 - self._position & 7) & 1
            self._position += 1
        return value

    def exponential(self) -> int:
        """An unsigned number in exponential Golomb code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.read(zeros)
