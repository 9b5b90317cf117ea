"""Boxes of ISO base media files, written: ISO/IEC 14496-12, clause 4.2. Bytes out, nothing else."""

from struct import Struct

_HEADER = Struct(">I4s")
_FULL_HEADER = Struct(">I4sI")

BOX_HEADER_BYTES = _HEADER.size
FULL_BOX_HEADER_BYTES = _FULL_HEADER.size
_BOX_BYTES_MAX = 0xFFFF_FFFF  # a 32-bit size field; nothing we write comes near the 64-bit form


def box(kind: bytes, *payload: bytes) -> bytes:
    """Return one box of the four-character `kind` around the joined payload.

    Raises ValueError where the box would need a 64-bit size.
    """
    return box_header(kind, sum(map(len, payload))) + b"".join(payload)


def box_header(kind: bytes, payload_bytes: int) -> bytes:
    """Return the header of a box whose payload the caller appends itself, to spare large data a copy."""
    size = BOX_HEADER_BYTES + payload_bytes
    if size > _BOX_BYTES_MAX:
        raise ValueError(f"a {kind!r} box of {size} bytes does not fit a 32-bit size")
    return _HEADER.pack(size, kind)


def full_box(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """Return one FullBox: a box whose payload begins with an 8-bit version and 24 bits of flags."""
    body = b"".join(payload)
    return _FULL_HEADER.pack(FULL_BOX_HEADER_BYTES + len(body), kind, version << 24 | flags) + body


def free_box(size: int) -> bytes:
    """Return a `free` box of exactly `size` bytes, header included; no bytes at all for 0.

    Raises ValueError for 1 to 7 bytes: they cannot hold a header.
    """
    if size == 0:
        return b""
    if size < BOX_HEADER_BYTES:
        raise ValueError(f"{size} bytes are too few for a box")
    return box(b"free", bytes(size - BOX_HEADER_BYTES))
