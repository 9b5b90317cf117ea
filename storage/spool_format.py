"""What a spool holds, shared by its writer and its readers; pure.

    facts.json      what the recording is; written once, before anything else
    media           the fragments, one after the other; append-only
    index           one 40-byte record for each fragment; append-only, after its fragment is durable
    events.jsonl    what happened, a JSON document a line; append-only, not needed for the media
    upload.json     how far the upload is; replaced atomically by the uploader
    end.json        why and how the recording ended; written once, last
    end.reserve     disk blocks held back that end.json is written into, so that a full disk cannot refuse it
    reserve         disk space held back for the uploader's own small files
    head            the init segment as it was filled in, where the store takes over `media` itself
    whole           the recording with a longer init segment, where that outgrew its room
    upload.lock     flock: held by the one uploader that works on this spool

All integers in the index are big-endian, like everything in ISO/IEC 14496-12 and RTP.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import google_crc32c
import msgspec

from recorder.limits import FRAGMENT_BYTES_MAX
from recorder.values import EndReason, FragmentKind

FACTS, MEDIA, INDEX, EVENTS, HEAD, WHOLE = "facts.json", "media", "index", "events.jsonl", "head", "whole"
UPLOAD, END, END_RESERVE, RESERVE, UPLOAD_LOCK = (
    "upload.json",
    "end.json",
    "end.reserve",
    "reserve",
    "upload.lock",
)

END_RESERVE_BYTES = 4 * 1024  # one block; end.json takes about 200 bytes of it
RESERVE_BYTES = 256 * 1024  # upload.json of a 10,000-part upload, written beside the old one, and directories
FORMAT_VERSION = 1

_KINDS = {FragmentKind.INIT: 1, FragmentKind.MEDIA: 2}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_BODY = struct.Struct("!BxxxIQQQI")  # kind, length, offset, start_us, duration_us, crc32c of the fragment
_CHECK = struct.Struct("!I")  # crc32c of the body above
RECORD_BYTES = _BODY.size + _CHECK.size


class SpoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is, for whoever finds its spool: never changed after creation."""

    recording: str
    conversation: str
    key: str  # where the object goes, relative to the store's prefix
    content_type: str
    created_at: datetime
    version: int = FORMAT_VERSION


class SpoolEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording ended. `failure` is a stable error code, where something went wrong."""

    reason: EndReason
    failure: str | None
    duration_us: int
    bytes: int
    fragments: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where one whole fragment lies in `media`, and when in the recording: offsets in bytes, times in us."""

    kind: FragmentKind
    offset: int
    length: int
    start_us: int
    duration_us: int
    crc32c: int

    @property
    def stop(self) -> int:
        """The offset of the first byte after the fragment."""
        return self.offset + self.length


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720 B.4) of the bytes."""
    return int(google_crc32c.value(data))


def pack_record(entry: IndexEntry) -> bytes:
    """The fixed-size index record of a fragment, with its own checksum last."""
    body = _BODY.pack(
        _KINDS[entry.kind], entry.length, entry.offset, entry.start_us, entry.duration_us, entry.crc32c
    )
    return body + _CHECK.pack(crc32c(body))


def unpack_record(record: bytes) -> IndexEntry | None:
    """The entry of one record; None when the record is torn, damaged or makes no sense."""
    if len(record) != RECORD_BYTES:
        return None
    body, check = record[: _BODY.size], record[_BODY.size :]
    if _CHECK.unpack(check) != (crc32c(body),):
        return None
    kind, length, offset, start_us, duration_us, checksum = _BODY.unpack(body)
    if kind not in _KIND_OF or not 0 < length <= FRAGMENT_BYTES_MAX:
        return None
    return IndexEntry(_KIND_OF[kind], offset, length, start_us, duration_us, checksum)


def whole_entries(index: bytes, *, offset: int, media_size: int) -> Iterator[IndexEntry]:
    """Yield the longest run of records in `index` that are sound, adjoining, and covered by the media.

    The first fragment must lie at `offset`; `media_size` is the size of the media file in bytes. Time is
    proportional to the index: the media itself is not looked at, because a record is written only after
    its fragment is durable. Checksums of the media are compared whenever fragments are read.
    """
    for at in range(0, len(index), RECORD_BYTES):
        entry = unpack_record(index[at : at + RECORD_BYTES])
        if entry is None or entry.offset != offset or entry.stop > media_size:
            return
        offset = entry.stop
        yield entry
