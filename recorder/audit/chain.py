"""The chain of audit entries: an entry is a line of JSON that holds the SHA-256 of the line before. Pure."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from recorder.kernel.audit.act import Act, AuditHead

BEGINNING = AuditHead(sequence=0, hash="0" * 64)
EXPIRED = "auditExpired"  # the act whose details name the last entry that retention removed, and its hash


class Entry(Act, frozen=True, kw_only=True, omit_defaults=True):
    """An act at its place: from 1, without a gap; `previous` is the hash of the line before."""

    sequence: int
    previous: str


class Line(NamedTuple):
    """An entry as it is kept, at the place where it was found; `sequence` None: it says its own."""

    text: str
    sequence: int | None = None


class Fault(NamedTuple):
    """What is wrong with the chain. `sequence` is the entry that it is about."""

    kind: str  # changed, removed, reordered, unreadable, rewritten
    sequence: int
    detail: str


def hash_of(line: str) -> str:
    """The SHA-256 of a line without its end, in hexadecimal."""
    return hashlib.sha256(line.encode()).hexdigest()


def chained(head: AuditHead, acts: Iterable[Act]) -> tuple[list[tuple[Entry, str]], AuditHead]:
    """The entries of these acts after `head`, each with its line; and the new head."""
    entries = []
    for act in acts:
        fields = {name: getattr(act, name) for name in Act.__struct_fields__}
        entry = Entry(**fields, sequence=head.sequence + 1, previous=head.hash)
        line = msgspec.json.encode(entry, order="deterministic").decode()
        entries.append((entry, line))
        head = AuditHead(sequence=entry.sequence, hash=hash_of(line))
    return entries, head


class Verification:
    """Reads a chain from its oldest line to its newest; `finish` says what is wrong with it.

    `heads` were noted elsewhere, when each was the newest. Of one entry one fault is told.
    """

    def __init__(self, heads: Iterable[AuditHead] = ()) -> None:
        self.head = BEGINNING
        self.count = 0
        self.newest: Entry | None = None  # None where the last line could not be read
        self._faults: dict[int, Fault] = {}
        self._heads = {head.sequence: head for head in heads}
        self._before_first: AuditHead | None = None
        self._missing: list[range] = []
        self._excused: set[AuditHead] = set()

    def read(self, line: Line) -> None:
        """Take the next line."""
        self.count += 1
        self.newest = None
        try:
            entry = msgspec.json.decode(line.text, type=Entry)
        except msgspec.DecodeError as error:
            self.fault("unreadable", line.sequence or self.head.sequence + 1, str(error))
            self._advance(line.sequence or self.head.sequence + 1, line.text)
            return
        self.newest = entry
        if line.sequence not in (None, entry.sequence):
            self.fault("reordered", line.sequence or 0, f"what stands there is entry {entry.sequence}")
        elif self._before_first is None:
            self._before_first = AuditHead(sequence=entry.sequence - 1, hash=entry.previous)
        elif entry.sequence <= self.head.sequence:
            self._stands_late(entry.sequence)
            return
        else:
            self._follow(entry)
        if entry.action == EXPIRED:
            self._excused.update(_excused_by(entry))
        self._advance(line.sequence or entry.sequence, line.text)

    def finish(self) -> list[Fault]:
        """All faults in their order, once the newest line was read."""
        self._check_beginning()
        for gap in self._missing:
            last = f" to {gap[-1]}" if len(gap) > 1 else ""
            self.fault("removed", gap[0], f"missing: {gap[0]}{last}")
        newest = max(self._heads, default=0)
        if newest > self.head.sequence:
            detail = f"the entries up to {newest} were there when that head was noted"
            self.fault("removed", self.head.sequence + 1, detail)
        return [self._faults[sequence] for sequence in sorted(self._faults)]

    def _check_beginning(self) -> None:
        before = self._before_first
        if before is None or before == BEGINNING or before in self._excused:
            return
        if before.sequence == 0:
            self.fault("changed", 1, "it is the first, and names one before it")
        else:
            detail = f"the entries up to {before.sequence} are gone, and no entry says that they expired"
            self.fault("removed", before.sequence, detail)

    def _follow(self, entry: Entry) -> None:
        expected = self.head.sequence + 1
        if entry.sequence > expected:
            self._missing.append(range(expected, entry.sequence))
        elif entry.previous != self.head.hash:
            detail = f"entry {entry.sequence} was chained to another text of it"
            self.fault("changed", self.head.sequence, detail)

    def _stands_late(self, sequence: int) -> None:
        self.fault("reordered", sequence, f"it stands after entry {self.head.sequence}")
        for gap in [gap for gap in self._missing if sequence in gap]:
            self._missing.remove(gap)
            rest = (range(gap.start, sequence), range(sequence + 1, gap.stop))
            self._missing.extend(part for part in rest if part)

    def _advance(self, sequence: int, text: str) -> None:
        self.head = AuditHead(sequence=sequence, hash=hash_of(text))
        noted = self._heads.get(sequence)
        if noted is not None and noted.hash != self.head.hash:
            detail = "its hash was another one when it was noted: it, or what stands before it, was rewritten"
            self.fault("rewritten", sequence, detail)

    def fault(self, kind: str, sequence: int, detail: str) -> None:
        """Tell of a fault; the first of an entry counts."""
        self._faults.setdefault(sequence, Fault(kind, sequence, detail))


def lines_of(text: Iterable[str]) -> Iterator[Line]:
    """The lines of an export."""
    return (Line(line.rstrip("\n")) for line in text if line.strip())


def expired_details(last: AuditHead) -> dict[str, str]:
    """What the entry says that tells of an expiry up to this one."""
    return {"through": str(last.sequence), "hash": last.hash}


def _excused_by(entry: Entry) -> Iterator[AuditHead]:
    through, hashed = entry.details.get("through", ""), entry.details.get("hash", "")
    if through.isdigit():
        yield AuditHead(sequence=int(through), hash=hashed)
