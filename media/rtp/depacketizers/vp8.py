"""The VP8 payload descriptor (RFC 7741 4.2) and what a key frame says of itself (RFC 6386 9.1)."""

_START_CODE = b"\x9d\x01\x2a"
_PICTURE_IDS = 128  # before they begin anew


def parse_vp8(payload: bytes) -> tuple[int, bool, int | None] | None:
    """(offset of the data, whether it starts a frame, picture id); None when the descriptor is malformed.

    The picture id has 7 or 15 bits, as the sender chose; None where the sender tells none.
    """
    length = len(payload)
    if length < 2:
        return None
    first = payload[0]
    position = 1
    picture_id: int | None = None
    if first & 0x80:
        flags = payload[1]
        position = 2
        if flags & 0x80:
            if position + 1 >= length:
                return None
            picture_id = payload[position]
            if picture_id & 0x80:
                picture_id = (picture_id & 0x7F) << 8 | payload[position + 1]
                position += 1
            position += 1
        position += (flags >> 6 & 1) + bool(flags & 0x30)
    if position >= length:
        return None
    return position, first & 0x17 == 0x10, picture_id


def is_vp8_keyframe(frame: bytes) -> bool:
    """Whether a whole frame can be decoded by itself."""
    return len(frame) >= 10 and not frame[0] & 1 and frame[3:6] == _START_CODE


def vp8_size(frame: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a key frame; None for any other frame."""
    if not is_vp8_keyframe(frame):
        return None
    return (frame[6] | frame[7] << 8) & 0x3FFF, (frame[8] | frame[9] << 8) & 0x3FFF


class Vp8Depacketizer:
    """Joins the payloads of one frame."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._picture_id: int | None = None
        self._last_picture_id: int | None = None

    def starts_frame(self, payload: bytes) -> bool:
        """Whether a frame begins with this payload."""
        parsed = parse_vp8(payload)
        return parsed is not None and parsed[1]

    def continues(self, payload: bytes, lost: int) -> bool:
        """Whether this is the very next picture after the last finished one, by its picture id."""
        parsed = parse_vp8(payload)
        if lost > _PICTURE_IDS // 2 or parsed is None or parsed[2] is None or self._last_picture_id is None:
            return False
        return (parsed[2] - self._last_picture_id) & 0x7F == 1

    def add(self, payload: bytes) -> bool:
        """Take the next payload of the frame; False when it is malformed."""
        parsed = parse_vp8(payload)
        if parsed is None:
            return False
        self._parts.append(payload[parsed[0] :])
        self._picture_id = parsed[2]
        return True

    def finish(self) -> tuple[bytes, bool] | None:
        """The whole frame, and whether it is a key frame."""
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._last_picture_id = self._picture_id
        return data, is_vp8_keyframe(data)

    def clear(self) -> None:
        """Drop the unfinished frame."""
        self._parts = []
