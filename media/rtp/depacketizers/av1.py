"""AV1 from RTP (AV1 RTP payload format 1.0): payloads to temporal units in the low-overhead format."""

_TEMPORAL_DELIMITER = b"\x12\x00"
_SEQUENCE_HEADER, _DELIMITER, _FRAME_HEADER, _FRAME, _TILE_LIST, _PADDING = 1, 2, 3, 6, 8, 15
_DROPPED = (_DELIMITER, _TILE_LIST, _PADDING)
_FIRST = (_SEQUENCE_HEADER, _DELIMITER, _FRAME_HEADER, _FRAME)
_SIZE_FLAG, _EXTENSION_FLAG = 0x02, 0x04
UNITS_MAX = 512  # of one picture: encoders make a handful
_LEB128_BYTES_MAX = 8


def read_leb128(data: bytes, position: int) -> tuple[int, int] | None:
    """(number, position behind it) of AV1 4.10.5; None when it is malformed."""
    number = 0
    for index in range(min(_LEB128_BYTES_MAX, len(data) - position)):
        byte = data[position + index]
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, position + index + 1
    return None


def split_elements(payload: bytes) -> list[bytes] | None:
    """The OBU elements of a packet (4.4); None when they do not fit it."""
    count = payload[0] >> 4 & 3
    elements: list[bytes] = []
    position = 1
    while position < len(payload):
        if count and len(elements) == count - 1:
            elements.append(payload[position:])
            return elements
        read = read_leb128(payload, position)
        if read is None or read[1] + read[0] > len(payload):
            return None
        elements.append(payload[read[1] : read[1] + read[0]])
        position = read[1] + read[0]
    return elements if elements and count in (0, len(elements)) else None


class Av1Depacketizer:
    """Joins the open bitstream units of one temporal unit."""

    def __init__(self) -> None:
        self._units: list[list[bytes]] = []  # in the pieces that they came in
        self._unfinished = False

    def starts_frame(self, payload: bytes) -> bool:
        """Whether a temporal unit can begin here: it begins with a whole header, never with tiles alone."""
        if payload[0] & 0x80:
            return False
        elements = split_elements(payload)
        return elements is not None and elements[0] != b"" and _kind(elements[0]) in _FIRST

    def continues(self, payload: bytes, lost: int) -> bool:
        """AV1 payloads carry no picture number, so a loss before one is a loss."""
        return False

    def add(self, payload: bytes) -> bool:
        """Take the next payload of the temporal unit; False when it is malformed."""
        elements = split_elements(payload)
        if elements is None or bool(payload[0] & 0x80) != self._unfinished:
            return False
        if self._unfinished:
            self._units[-1].append(elements.pop(0))
        self._units += [[element] for element in elements]
        self._unfinished = bool(payload[0] & 0x40)
        return len(self._units) <= UNITS_MAX

    def finish(self) -> tuple[bytes, bool] | None:
        """The temporal unit, and whether it can be decoded by itself; None when it ends inside a unit."""
        units = [b"".join(pieces) for pieces in self._units]
        unfinished = self._unfinished
        self.clear()
        units = [unit for unit in units if unit and _kind(unit) not in _DROPPED]
        if unfinished or not units:
            return None
        keyframe = any(_kind(unit) == _SEQUENCE_HEADER for unit in units)
        return _TEMPORAL_DELIMITER + b"".join(map(_with_size, units)), keyframe

    def clear(self) -> None:
        """Drop the unfinished temporal unit."""
        self._units = []
        self._unfinished = False


def _kind(unit: bytes) -> int:
    return unit[0] >> 3 & 15


def _with_size(unit: bytes) -> bytes:
    """The unit with its size in it (AV1 5.3.2), as decoders read units one after the other."""
    if unit[0] & _SIZE_FLAG:
        return unit
    header = 2 if unit[0] & _EXTENSION_FLAG else 1
    body = unit[header:]
    return bytes((unit[0] | _SIZE_FLAG,)) + unit[1:header] + _leb128(len(body)) + body


def _leb128(number: int) -> bytes:
    coded = bytearray()
    while number > 0x7F:
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    coded.append(number)
    return bytes(coded)
