"""Bits of a coded header, read from the most significant on. Pure."""

_ZEROS_MAX = 32  # before an exp-Golomb code of at most 32 bits (ITU-T H.264 9.1)


class EndOfBitsError(Exception):
    """More was read than there is, or a number is longer than any may be."""


class BitReader:
    """Fixed-length and exp-Golomb numbers of a byte string; every read is bounded."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        begin, end = self._position, self._position + count
        if end > 8 * len(self._data):
            raise EndOfBitsError
        self._position = end
        number = int.from_bytes(self._data[begin // 8 : (end + 7) // 8])
        return number >> (-end % 8) & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        """The next ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _ZEROS_MAX:
                raise EndOfBitsError
        return (1 << zeros) - 1 + (self.take(zeros) if zeros else 0)

    def signed_exp_golomb(self) -> int:
        """The next se(v)."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)
