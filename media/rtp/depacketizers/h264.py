"""H.264 from RTP (RFC 6184, packetization modes 0 and 1) to access units in Annex B form."""

from media.rtp.depacketizers.h264_numbers import FrameNumbers

_START_CODE = b"\x00\x00\x00\x01"
_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER = 1, 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28
PARAMETER_SETS_MAX = 8  # of each kind; ids go further, senders do not
SLICE_BYTES = 32  # of a slice hold its frame number for sure


class H264Depacketizer:
    """Joins the NAL units of one access unit, and keeps parameter sets for key frames that lack them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._types: set[int] = set()
        self._fragment = False
        self._sps: dict[bytes, bytes] = {}
        self._pps: dict[bytes, bytes] = {}
        self._numbers = FrameNumbers()
        self._first: bytes = b""  # slice of the access unit

    def starts_frame(self, payload: bytes) -> bool:
        """Whether an access unit can begin here: parameter sets, SEI, delimiter, or its first slice."""
        kind = payload[0] & 0x1F
        if kind == _STAP_A:
            return len(payload) > 4 and _starts_access_unit(payload[3] & 0x1F, payload[4])
        if kind == _FU_A:
            if len(payload) < 3 or not payload[1] & 0x80:
                return False
            return _starts_access_unit(payload[1] & 0x1F, payload[2])
        return len(payload) > 1 and _starts_access_unit(kind, payload[1])

    def continues(self, payload: bytes, lost: int) -> bool:
        """Whether no picture that others refer to is missing before this one, by its frame number."""
        return self._numbers.follows(_first_slice(payload), lost)

    def add(self, payload: bytes) -> bool:
        """Take the next payload of the access unit; False when it is malformed or of an unsupported type."""
        kind = payload[0] & 0x1F
        if kind == _FU_A:
            return self._add_fragment(payload)
        if self._fragment:
            return False
        if kind == _STAP_A:
            return self._add_aggregate(payload)
        if 1 <= kind <= 23:
            self._add_unit(kind, payload)
            return True
        return False

    def finish(self) -> tuple[bytes, bool] | None:
        """The access unit and whether it is an IDR; None when it holds no slice or ends inside one."""
        parts, types, broken, first = self._parts, self._types, self._fragment, self._first
        self.clear()
        if broken or types.isdisjoint((_SLICE, _IDR, 2, 3, 4)):
            return None
        keyframe = _IDR in types
        self._numbers.seen(first)
        if keyframe:
            if _PPS not in types:
                parts = [*_with_start_codes(self._pps), *parts]
            if _SPS not in types:
                parts = [*_with_start_codes(self._sps), *parts]
        return b"".join(parts), keyframe

    def clear(self) -> None:
        """Drop the unfinished access unit; parameter sets stay."""
        self._parts = []
        self._types = set()
        self._fragment = False
        self._first = b""

    def _add_unit(self, kind: int, unit: bytes) -> None:
        if kind == _SPS:
            _keep(self._sps, unit[4:5], unit)
            self._numbers.parameters(unit)
        elif kind == _PPS:
            _keep(self._pps, unit[1:2], unit)
        elif kind in (_SLICE, _IDR) and not self._first:
            self._first = unit[:SLICE_BYTES]
        self._types.add(kind)
        self._parts.append(_START_CODE)
        self._parts.append(unit)

    def _add_aggregate(self, payload: bytes) -> bool:
        position = 1
        while position + 2 < len(payload):
            end = position + 2 + (payload[position] << 8 | payload[position + 1])
            unit = payload[position + 2 : end]
            if not unit or end > len(payload):
                return False
            self._add_unit(unit[0] & 0x1F, unit)
            position = end
        return position == len(payload)

    def _add_fragment(self, payload: bytes) -> bool:
        if len(payload) < 3:
            return False
        header = payload[1]
        if header & 0x80:  # start
            if self._fragment:
                return False
            kind = header & 0x1F
            self._types.add(kind)
            self._parts.append(_START_CODE)
            self._parts.append(bytes((payload[0] & 0xE0 | kind,)))
            if not self._first:
                self._first = _first_slice(payload)
        elif not self._fragment:
            return False
        self._fragment = not header & 0x40
        self._parts.append(payload[2:])
        return True


def _starts_access_unit(kind: int, first_byte: int) -> bool:
    # A slice begins with first_mb_in_slice as ue(v): a leading one bit is zero, the first macroblock.
    return kind in (_SEI, _SPS, _PPS, _DELIMITER) or (kind in (_SLICE, _IDR) and first_byte & 0x80 != 0)


def _first_slice(payload: bytes) -> bytes:
    """The beginning of the first slice of a payload; nothing where it brings none."""
    kind = payload[0] & 0x1F
    if kind in (_SLICE, _IDR):
        return payload[:SLICE_BYTES]
    if kind == _FU_A and len(payload) > 2 and payload[1] & 0x80 and payload[1] & 0x1F in (_SLICE, _IDR):
        return bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)) + payload[2 : SLICE_BYTES + 1]
    position = 1
    while kind == _STAP_A and position + 3 <= len(payload):
        end = position + 2 + (payload[position] << 8 | payload[position + 1])
        if payload[position + 2] & 0x1F in (_SLICE, _IDR):
            return payload[position + 2 : min(end, position + 2 + SLICE_BYTES)]
        position = end
    return b""


def _keep(sets: dict[bytes, bytes], identity: bytes, unit: bytes) -> None:
    # The first byte of the id's exp-Golomb code tells apart the few sets that one encoder uses.
    if identity in sets or len(sets) < PARAMETER_SETS_MAX:
        sets[identity] = unit


def _with_start_codes(sets: dict[bytes, bytes]) -> list[bytes]:
    return [part for unit in sets.values() for part in (_START_CODE, unit)]
