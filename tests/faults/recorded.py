"""Recordings that the adversary makes: fragments whose bytes exist once only, and what is known of them."""

import random
import struct
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recorder.kernel.media import Fragment, FragmentKind
from storage.spool import SpoolFacts, SpoolWriter
from storage.upload.uploader import StoredObject

STORE_IDS = ("sto_00000000000000000000000001", "sto_00000000000000000000000002")
INIT_BYTES = 96
FRAGMENT_US = 2_000_000


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!I4s", len(body) + 8, kind) + body


def fragment_of(recording: int, number: int, size: int) -> Fragment:
    """The init segment, or a media fragment whose bytes exist once only."""
    noise = random.Random(recording * 100_003 + number).randbytes(size)
    if number == 0:
        data = box(b"ftyp", noise[:8]) + box(b"moov", noise[:INIT_BYTES]) + box(b"free", bytes(40))
        return Fragment(kind=FragmentKind.INIT, data=data)
    data = box(b"moof", number.to_bytes(8, "big")) + box(b"mdat", noise)
    start_us = (number - 1) * FRAGMENT_US
    return Fragment(kind=FragmentKind.MEDIA, data=data, start_us=start_us, duration_us=FRAGMENT_US)


@dataclass
class Recording:
    """One recording: what its writer was told is safe, and what nobody can be asked for any more."""

    number: int
    id: str
    home: int = 0  # which of the stores it began for
    fragments: list[Fragment] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    writer: SpoolWriter | None = None
    ended: bool = False
    excused: set[int] = field(default_factory=set)  # fragments whose only copy may have been destroyed
    past_from: int | None = None  # a spool of the past knows nothing of the fragments from this one on
    small_damage: Counter[str] = field(default_factory=Counter)  # how often each pair of small files was hit
    events_hit: bool = False
    snapshot: tuple[Path, int, int] | None = None  # where, fragments, events
    disk_lost: bool = False
    stored: StoredObject | None = None
    error: str | None = None
    longest: int = 0  # that its object ever was

    @property
    def store(self) -> str:
        """Its store's id."""
        return STORE_IDS[self.home]

    @property
    def key(self) -> str:
        return f"conv_{self.number}/{self.id}.mp4"

    @property
    def facts(self) -> SpoolFacts:
        return SpoolFacts(
            recording=self.id,
            conversation=f"conv_{self.number}",
            key=self.key,
            content_type="video/mp4",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            store=self.store,
        )

    def forget_from(self, number: int) -> None:
        """Nothing on the disk says any more that there were fragments from this one on."""
        self.past_from = number if self.past_from is None else min(number, self.past_from)

    def behind(self, place: int, *, whole: bool = False) -> set[int]:
        """The fragments that end behind this byte of the media, or begin there."""
        return {n for n in range(len(self.fragments)) if self.start_of(n if whole else n + 1) > place}

    def start_of(self, number: int) -> int:
        return sum(len(fragment.data) for fragment in self.fragments[:number])
