"""The journal's format, by which the bucket alone can complete an upload; pure.

    _bystander/uploads/<recording>/tail-<start>-<stop>     fragments, of these bytes, that no part holds yet
    _bystander/uploads/<recording>/grown-<start>-<stop>    the fragment behind them, as far as it has grown
    _bystander/uploads/<recording>/part-<number>-<upload>  the index records of a part that the store holds
    _bystander/uploads/<recording>/events-<start>          lines of events.jsonl, from this byte of it
    _bystander/uploads/<recording>/claim-<node>            another node goes on with the upload
    _bystander/nodes/<node>                                when that node was last known to live

Tails, grown fragments and part pages are one format: a header that says whose they are, index records as in
the spool, bytes.
The records of all pages together are the recording's index; the bytes are in the tails or in the parts.
"""

import hashlib
import struct
from dataclasses import dataclass

import msgspec

from storage.spool import format as form
from storage.spool.format import IndexEntry, SpoolFacts
from storage.store import SIDE_PREFIX, Part
from storage.upload_plan.state import HeadPolicy

UPLOADS_PREFIX = f"{SIDE_PREFIX}uploads/"
NODES_PREFIX = f"{SIDE_PREFIX}nodes/"
_TAIL, _GROWN, _PART, _EVENTS, _CLAIM = "tail-", "grown-", "part-", "events-", "claim-"

_HEAD = struct.Struct("!4sIIQ")  # magic, bytes of the header and of the records, bytes of media
_CHECK = struct.Struct("!II")  # crc32c of header and records, crc32c of the media
_MAGIC = b"BYTL"


class PageHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Whose upload this is and how it is cut. `part` is None for a tail.

    What is `provisional` grows on: it is the recording's only while no other page speaks of its place.
    """

    installation: str
    node: str
    facts: SpoolFacts
    head: HeadPolicy
    part_size_bytes: int
    upload_id: str | None
    head_growth: int = 0
    part: Part | None = None
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A tail, or what is known of a part; `data` is empty for a part."""

    header: PageHeader
    entries: list[IndexEntry]
    data: bytes


def side_prefix(recording: str) -> str:
    """Under which everything beside this recording's upload lies."""
    return f"{UPLOADS_PREFIX}{recording}/"


def tail_name(start: int, stop: int) -> str:
    """The last segment of the key of a tail that holds the bytes [start, stop)."""
    return f"{_TAIL}{start:016x}-{stop:016x}"


def tail_range(name: str) -> tuple[int, int] | None:
    """The bytes that a tail of this name holds; None for another name."""
    return _range(_TAIL, name)


def grown_name(start: int, stop: int) -> str:
    """The last segment of the key of a fragment that may still grow and now takes the bytes [start, stop)."""
    return f"{_GROWN}{start:016x}-{stop:016x}"


def grown_range(name: str) -> tuple[int, int] | None:
    """The bytes that such a fragment takes; None for another name."""
    return _range(_GROWN, name)


def part_name(number: int, upload_id: str) -> str:
    """The last segment of the key of a part's page."""
    digest = hashlib.sha256(upload_id.encode()).hexdigest()[:12]
    return f"{_PART}{number:05d}-{digest}"


def is_page(name: str) -> bool:
    """Whether an object of this name can be decoded as a page."""
    return name.startswith((_TAIL, _GROWN, _PART))


def events_name(start: int) -> str:
    """The last segment of the key of the lines of events.jsonl from this byte on."""
    return f"{_EVENTS}{start:016x}"


def events_start(name: str) -> int | None:
    """The byte of events.jsonl that an object of this name begins with; None for another name."""
    return _number(name.removeprefix(_EVENTS)) if name.startswith(_EVENTS) else None


def claim_name(node: str) -> str:
    """The last segment of the key by which `node` claims the upload."""
    return f"{_CLAIM}{node}"


def claimant(name: str) -> str | None:
    """The node that an object of this name speaks for; None for another name."""
    return name.removeprefix(_CLAIM) if name.startswith(_CLAIM) else None


def _range(prefix: str, name: str) -> tuple[int, int] | None:
    start, _, stop = (_number(text) for text in name.removeprefix(prefix).partition("-"))
    return None if not name.startswith(prefix) or start is None or stop is None else (start, stop)


def _number(text: str) -> int | None:
    """A hexadecimal number; None for what somebody else may have put there."""
    try:
        return int(text, 16)
    except ValueError:
        return None


def pack_page(page: Page) -> bytes:
    """The object's bytes."""
    header = msgspec.json.encode(page.header)
    records = b"".join(form.pack_record(entry) for entry in page.entries)
    head = _HEAD.pack(_MAGIC, len(header), len(records), len(page.data))
    check = _CHECK.pack(form.crc32c(header + records), form.crc32c(page.data))
    return b"".join((head, check, header, records, page.data))


def unpack_page(data: bytes) -> Page | None:
    """The page; None when it is damaged, cut short, or of another make."""
    at = _HEAD.size + _CHECK.size
    if len(data) < at:
        return None
    magic, header_bytes, record_bytes, media_bytes = _HEAD.unpack_from(data)
    told, media = data[at : at + header_bytes + record_bytes], data[at + header_bytes + record_bytes :]
    checks = (form.crc32c(told), form.crc32c(media))
    if magic != _MAGIC or len(media) != media_bytes or _CHECK.unpack_from(data, _HEAD.size) != checks:
        return None
    try:
        header = msgspec.json.decode(told[:header_bytes], type=PageHeader)
    except (msgspec.DecodeError, ValueError):
        return None
    records = told[header_bytes:]
    found = [
        form.unpack_record(records[start : start + form.RECORD_BYTES])
        for start in range(0, len(records), form.RECORD_BYTES)
    ]
    entries = [entry for entry in found if entry is not None]
    return Page(header, entries, media) if entries and len(entries) == len(found) else None
