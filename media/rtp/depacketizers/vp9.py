"""VP9 from RTP (RFC 9628): payloads to frames, of the lowest spatial layer where there are several."""

_PICTURE_IDS = 128  # of the shorter form; a loss longer than half of them may hide a whole round


def parse_vp9(payload: bytes) -> tuple[int, bool, int, int | None] | None:
    """(offset of the data, whether it starts a frame, spatial layer, picture id); None when it is malformed.

    The picture id has 7 or 15 bits, as the sender chose; None where the sender tells none.
    """
    reader = _Descriptor(payload)
    try:
        flags = reader.byte()
        picture_id = reader.picture_id() if flags & 0x80 else None
        spatial = reader.layers(flexible=bool(flags & 0x10)) if flags & 0x20 else 0
        if flags & 0x50 == 0x50:
            reader.reference_differences()
        if flags & 0x02:
            reader.scalability_structure()
    except IndexError:
        return None
    if reader.position >= len(payload):
        return None
    return reader.position, bool(flags & 0x08), spatial, picture_id


def is_vp9_keyframe(frame: bytes) -> bool:
    """Whether a frame is a key frame by its uncompressed header (VP9 bitstream specification 6.2)."""
    first = frame[0]
    if first >> 6 != 2:
        return False
    shift = 1 if first & 0x30 == 0x30 else 0  # profile 3 has a reserved bit
    return not first & (0x0C >> shift)  # show_existing_frame and frame_type


class Vp9Depacketizer:
    """Joins the payloads of one frame."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._picture_id: int | None = None
        self._last_picture_id: int | None = None

    def starts_frame(self, payload: bytes) -> bool:
        """Whether a picture begins with this payload."""
        parsed = parse_vp9(payload)
        return parsed is not None and parsed[1] and parsed[2] == 0

    def continues(self, payload: bytes, lost: int) -> bool:
        """Whether this is the very next picture after the last finished one, by its picture id."""
        parsed = parse_vp9(payload)
        if lost > _PICTURE_IDS // 2 or parsed is None or parsed[3] is None or self._last_picture_id is None:
            return False
        return (parsed[3] - self._last_picture_id) & 0x7F == 1

    def add(self, payload: bytes) -> bool:
        """Take the next payload of the picture; False when it is malformed."""
        parsed = parse_vp9(payload)
        if parsed is None:
            return False
        if parsed[2] == 0:
            self._parts.append(payload[parsed[0] :])
        self._picture_id = parsed[3]
        return True

    def finish(self) -> tuple[bytes, bool] | None:
        """The whole frame, and whether it is a key frame; None when there was none of the lowest layer."""
        data = b"".join(self._parts)
        self._parts = []
        self._last_picture_id = self._picture_id
        return (data, is_vp9_keyframe(data)) if data else None

    def clear(self) -> None:
        """Drop the unfinished frame."""
        self._parts = []


class _Descriptor:
    """The payload descriptor (RFC 9628 4.2), read field by field; IndexError where it ends early."""

    def __init__(self, payload: bytes) -> None:
        self.position = 0
        self._payload = payload

    def byte(self) -> int:
        value = self._payload[self.position]
        self.position += 1
        return value

    def picture_id(self) -> int:
        first = self.byte()
        return (first & 0x7F) << 8 | self.byte() if first & 0x80 else first

    def layers(self, *, flexible: bool) -> int:
        """The spatial layer's id, leaving TL0PICIDX behind."""
        value = self.byte()
        if not flexible:
            self.byte()
        return value >> 1 & 7

    def reference_differences(self) -> None:
        for _ in range(3):
            if not self.byte() & 1:
                return

    def scalability_structure(self) -> None:
        value = self.byte()
        if value & 0x10:
            self.position += 4 * ((value >> 5) + 1)
        if value & 0x08:
            for _ in range(self.byte()):
                references = self.byte() >> 2 & 3
                self.position += references
