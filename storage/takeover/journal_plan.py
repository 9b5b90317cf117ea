"""The journal's plan: what is put beside an upload and what is removed from there; pure.

A tail holds only what no other tail and no part holds, so that the bytes of a recording leave twice at most.
Only a fragment that still grows leaves once for each tail: it shows a page at rest, and is small.
A part's index records are stored before the part: a store that has a part of which nobody knows what is in it
could neither be given another nor complete without it. Once it is acknowledged, the tails that it covers may
go. Those of part 1 stay while it can still be sent again, because a store does not give a part's bytes back.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recorder.kernel.limits import MIB
from recorder.kernel.media import FragmentKind
from storage.spool.format import IndexEntry
from storage.store import Part
from storage.takeover.journal_format import grown_name, grown_range, part_name, tail_name, tail_range
from storage.upload_plan.plan import SendPart, part_of
from storage.upload_plan.state import HeadPolicy, UploadState

TAIL_BYTES_MAX = 8 * MIB  # in one request; more goes into the next


@dataclass(frozen=True, slots=True)
class PutJournal:
    """Store these fragments (indexes into the spool's index, inclusive) as a tail."""

    first: int
    last: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class PutPendingFragment:
    """Store what there is of the fragment that may still grow."""

    entry: IndexEntry


@dataclass(frozen=True, slots=True)
class PutPart:
    """Store the index records of a part that the store has, or is about to be sent."""

    part: Part


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the page of this name."""

    name: str


TailStep = PutJournal | PutPendingFragment | PutPart | Drop


def next_step(
    names: Iterable[str],
    state: UploadState,
    entries: Sequence[IndexEntry],
    *,
    due: bool,
    growing: IndexEntry | None = None,
    sending: SendPart | None = None,
) -> TailStep | None:
    """The one thing to do beside the upload, given what is there; `due`: it is time for the next tail.

    `growing` is the fragment behind the `entries` that may still grow, `sending` the part that is sent next.
    """
    known = set(names)
    parts = [part for part in state.parts if part.etag]
    upcoming = [] if sending is None or _changes(sending, state) else [part_of(sending, etag="", md5="")]
    recorded = [part for part in (*parts, *upcoming) if _is_recorded(part, entries)]
    wanted = {part_name(part.number, state.upload_id or ""): part for part in recorded}
    for name, part in wanted.items():
        if name not in known:
            return PutPart(part)
    held = [(p.offset, p.offset + p.size) for p in parts if p.number > 1 or state.head is HeadPolicy.AS_IT_IS]
    tails = {name: span for name in known if (span := tail_range(name)) is not None}
    spans = [*held, *tails.values()]
    for name in sorted(known - set(wanted)):
        grown = grown_range(name)
        if _outgrown(grown, known, spans) if grown is not None else _useless(tails.get(name), held):
            return Drop(name)
    if not due:
        return None
    fresh = growing is not None and grown_name(growing.offset, growing.stop) not in known
    return _next_tail(spans, entries) or (
        PutPendingFragment(growing) if growing is not None and fresh else None
    )


def _changes(sending: SendPart, state: UploadState) -> bool:
    """Whether other bytes than those in the spool are sent, or come later."""
    return sending.number == 1 and state.head is not HeadPolicy.AS_IT_IS


def _is_recorded(part: Part, entries: Sequence[IndexEntry]) -> bool:
    """Whether nothing in it was computed at the end: a recording taken up from here computes that anew."""
    last = bisect_left(entries, part.offset + part.size, key=lambda entry: entry.stop)
    return last < len(entries) and entries[last].kind is not FragmentKind.TABLES


def page_names(state: UploadState, part: Part) -> str:
    """The name of the page of one of this upload's parts."""
    return part_name(part.number, state.upload_id or "")


def name_of(step: PutJournal | PutPendingFragment) -> str:
    """The name of what the step stores."""
    if isinstance(step, PutPendingFragment):
        return grown_name(step.entry.offset, step.entry.stop)
    return tail_name(step.start, step.stop)


def _next_tail(spans: list[tuple[int, int]], entries: Sequence[IndexEntry]) -> PutJournal | None:
    start, limit = 0, None
    for begin, stop in _merged(spans):
        if begin > start:
            limit = begin
            break
        start = max(start, stop)
    end = entries[-1].stop if limit is None and entries else limit or 0
    first = bisect_left(entries, start, key=lambda entry: entry.offset)
    if first >= len(entries) or start >= end:
        return None
    last = first
    while last + 1 < len(entries) and entries[last + 1].stop <= min(end, start + TAIL_BYTES_MAX):
        last += 1
    return PutJournal(first, last, entries[first].offset, entries[last].stop)


def _useless(span: tuple[int, int] | None, held: list[tuple[int, int]]) -> bool:
    return span is None or any(begin <= span[0] and span[1] <= stop for begin, stop in _merged(held))


def _outgrown(grown: tuple[int, int], known: set[str], spans: list[tuple[int, int]]) -> bool:
    """Whether the fragment is stored whole by now, or more of it."""
    start, stop = grown
    longer = (other for name in known if (other := grown_range(name)) is not None)
    return any(begin <= start < end for begin, end in spans) or (start, stop) < max(longer)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, stop in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((begin, stop))
    return merged
