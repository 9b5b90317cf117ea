"""The spool's format, shared by its writer and its readers; pure.

    facts.json      what the recording is; written once, before anything else
    init            the init segment again, without the zeros at its end; written before its index record
    media           the fragments, one after the other; append-only
    provisional     the fragment that may still grow, behind its record; replaced atomically
    index           one 40-byte record for each fragment; append-only, after its fragment is durable
    events.jsonl    what happened, a JSON document a line; append-only, not needed for the media
    upload.json     how far the upload is; replaced atomically by the uploader
    end.json        why and how the recording ended, and what it had; written once, last
    end.reserve     disk blocks held back that end.json is written into, so that a full disk cannot refuse it
    reserve         disk space held back for the uploader's own small files
    head            the init segment as it was filled in, where the store takes over `media` itself
    whole           the recording with a longer init segment, where the file system cannot make room in media
    upload.lock     flock: held by the one uploader that works on this spool
    kept.json       why the upload ended without a proof, where it did: the rest stays until it is given up
    aside/          media, index and the rest, where the object lacks something that they may still have
    *.copy          facts.json, end.json and upload.json again, behind their checksum (small_files.py)

All integers in the index are big-endian, like everything in ISO/IEC 14496-12 and RTP.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import google_crc32c
import msgspec

from recorder.kernel.limits import FRAGMENT_BYTES_MAX
from recorder.kernel.media import FragmentKind
from recorder.kernel.recording import EndReason

FACTS, MEDIA, INDEX, EVENTS, HEAD, WHOLE = "facts.json", "media", "index", "events.jsonl", "head", "whole"
INIT, PROVISIONAL = "init", "provisional"
UPLOAD, END, END_RESERVE, RESERVE, UPLOAD_LOCK = (
    "upload.json",
    "end.json",
    "end.reserve",
    "reserve",
    "upload.lock",
)

END_RESERVE_BYTES = 4 * 1024  # one block; end.json takes about 200 bytes of it
RESERVE_BYTES = 256 * 1024  # upload.json of a 10,000-part upload, written beside the old one, and directories
KEPT = "kept.json"
FORMAT_VERSION = 1
ASIDE = "aside"  # a directory in a spool: what is left of one whose object is incomplete

_KINDS = {FragmentKind.INIT: 1, FragmentKind.MEDIA: 2}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_BODY = struct.Struct("!BxxxIQQQI")  # kind, length, offset, start_us, duration_us, crc32c of the fragment
_IDENTITY = struct.Struct("!BII")  # kind, length, crc32c of the fragment
_CHECK = struct.Struct("!I")  # crc32c of the body above
_BOX = struct.Struct("!I4s")  # ISO/IEC 14496-12, 4.2: size and type
CHECKSUM_UNKNOWN = 0xFFFF_FFFF  # of an entry whose record is damaged; where it is a true one, boxes count too
RECORD_BYTES = _BODY.size + _CHECK.size


class SpoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is, for whoever finds its spool: never changed after creation."""

    recording: str
    conversation: str
    key: str  # where the object goes, relative to the store's prefix
    content_type: str
    created_at: datetime
    store: str | None = None  # where the key is, by id; None: the one store of before there were several
    version: int = FORMAT_VERSION

    def agree(self, recording: str) -> bool:
        """Whether they are this recording's and do not contradict each other: a key names both that it is
        made of."""
        made_of = self.key.startswith(f"{self.conversation}/") and self.key.endswith(".mp4")
        return self.recording == recording and recording in self.key and made_of


class SpoolEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording ended. `failure` is a stable error code, where something went wrong."""

    reason: EndReason
    failure: str | None
    duration_us: int
    bytes: int
    fragments: int
    digest: str = ""  # of the index (index_digest); empty in spools of before there was one
    # records were lost before the end: of some fragments only the boxes are known to be whole
    derived: bool = False


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

    def moved(self, by: int) -> "IndexEntry":
        """The same fragment, so many bytes further on."""
        if by == 0:
            return self
        span = (self.offset + by, self.length, self.start_us, self.duration_us)
        return IndexEntry(self.kind, *span, self.crc32c)


@dataclass(slots=True)
class Scan:
    """What an index tells: entries, and how many records of the file they took."""

    entries: list[IndexEntry] = field(default_factory=list)
    records: int = 0


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


def scan(index: bytes, *, media_size: int, before: IndexEntry | None = None) -> "Scan":
    """Find the longest run of fragments that records in `index` tell of and the media covers.

    `before` is the entry of the record that precedes `index`; `media_size` is the size of the media file in
    bytes. Records that a crash left torn end the run. Damaged ones with a sound one behind them do not: the
    bytes between their neighbours become one entry, whose checksum nobody knows. Time is proportional to the
    index: the media itself is not looked at, because a record is written only after its fragment is durable.
    """
    found = Scan()
    at, end_us = (before.stop, before.start_us + before.duration_us) if before else (0, 0)
    records = [unpack_record(index[i : i + RECORD_BYTES]) for i in range(0, len(index), RECORD_BYTES)]
    for number, entry in enumerate(records):
        if entry is None:
            continue  # what comes next says whether this is the end, or damage
        skipped = number - found.records
        fits = entry.offset > at if skipped else entry.offset == at
        if not fits or entry.stop > media_size or entry.start_us < end_us * (skipped > 0):
            break
        if skipped:
            kind = FragmentKind.MEDIA if before or found.entries else FragmentKind.INIT
            span = (at, entry.offset - at, end_us, entry.start_us - end_us)
            found.entries.append(IndexEntry(kind, *span, CHECKSUM_UNKNOWN))
        found.entries.append(entry)
        found.records = number + 1
        at, end_us = entry.stop, entry.start_us + entry.duration_us
    return found


def index_digest(entries: Iterable["IndexEntry"]) -> str:
    """SHA-256, in hex, of what these fragments are: kinds, lengths, and the checksums of all their bytes."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(identity(entry))
    return digest.hexdigest()


def identity(entry: "IndexEntry") -> bytes:
    """What of a fragment can be found again without its record: not its times."""
    return _IDENTITY.pack(_KINDS[entry.kind], entry.length, entry.crc32c)


def without_zeros(init: bytes) -> bytes:
    """An init segment as its second copy is kept: the room at its end, which is all zeros, is left out."""
    return init.rstrip(b"\0")


def with_zeros(copy: bytes, length: int) -> bytes:
    """The init segment of `length` bytes that `without_zeros` made the copy of."""
    return copy.ljust(length, b"\0")


def is_box_sequence(data: bytes) -> bool:
    """Whether the bytes are whole boxes, one after the other: what can be said without a checksum."""
    at = 0
    while at + _BOX.size <= len(data):
        size, kind = _BOX.unpack_from(data, at)
        if size < _BOX.size or not kind.isalnum():
            return False
        at += size
    return at == len(data) > 0
