"""The plan of an upload; pure: the state and the spool's index in, an action out.

A part is a run of whole fragments, the shortest that reaches the part's size, so the cuts depend on the index
alone and a restarted server finds the same ones. Part sizes double every 980 parts: from S3's 5 MiB on, the
10,000 parts that S3 takes hold 5 TiB: a year at 1.3 Mbit/s.

The head is part 1. Its init segment gets the duration and the seek index when the recording has ended, so
part 1 is either held back until then (HOLD: every store takes that) or sent twice (REPLACE: not every store).

Where parts lie at offsets the head cannot become longer at the end, so it has room for the longest index
there is from the beginning: every other part lies INDEX_ROOM_BYTES further on than in the spool.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import KIB, PARTS_PER_UPLOAD_MAX
from storage.spool.format import IndexEntry
from storage.store import ListedPart, ObjectInfo, Part
from storage.upload_plan.shortfall import Shortfall
from storage.upload_plan.state import (
    Container,
    HeadPolicy,
    Outcome,
    Phase,
    Proof,
    StoredObject,
    UploadState,
    after,
)

PARTS_PER_SIZE = 980  # then the size doubles
INDEX_ROOM_BYTES = 24 * 64 * KIB  # with the recorder's 64 KiB: two sidx of the 65,535 references one can have


@dataclass(frozen=True, slots=True)
class SendPart:
    """Send these fragments (indexes into the spool's index) as part `number`."""

    number: int
    first: int
    last: int  # inclusive
    offset: int
    size: int
    fill_head: bool = False


@dataclass(frozen=True, slots=True)
class PutWhole:
    """The recording is smaller than a part: one request stores it."""

    size: int


class Simple(StrEnum):
    """Actions without arguments."""

    WAIT = "wait"  # for the spool to grow or to end
    ADOPT = "adopt"
    BEGIN = "begin"
    PUT_EVENTS = "put_events"
    COMPLETE = "complete"
    VERIFY = "verify"
    GIVE_UP_EMPTY = "give_up_empty"


Action = SendPart | PutWhole | Simple


def part_size_bytes(number: int, first_size_bytes: int) -> int:
    """The least size of part `number` (from 1), in bytes."""
    return first_size_bytes << ((number - 1) // PARTS_PER_SIZE)


def decide(state: UploadState, entries: Sequence[IndexEntry], *, ended: bool) -> Action:
    """The one thing to do now. `ended`: no fragment will follow."""
    if state.phase is Phase.COMPLETED:
        return Simple.VERIFY
    if state.phase is not Phase.SENDING:
        raise ValueError(f"an upload that is {state.phase} has nothing to do")
    if ended and len(entries) < 2:  # an init segment alone plays nothing
        return Simple.GIVE_UP_EMPTY
    if state.adopts:
        return (Simple.ADOPT if state.events_stored else Simple.PUT_EVENTS) if ended else Simple.WAIT
    part = _next_part(state, entries, ended=ended)
    if state.upload_id is None and (part is not None or ended):
        return _start(state, entries, ended=ended)
    if part is not None:
        return part
    if not ended:
        return Simple.WAIT
    return Simple.COMPLETE if state.events_stored else Simple.PUT_EVENTS


def _start(state: UploadState, entries: Sequence[IndexEntry], *, ended: bool) -> Action:
    size = entries[-1].stop
    if not ended or size > state.part_size_bytes:
        return Simple.BEGIN
    return PutWhole(size) if state.events_stored else Simple.PUT_EVENTS


def _next_part(state: UploadState, entries: Sequence[IndexEntry], *, ended: bool) -> SendPart | None:
    for part in state.parts:
        if not part.etag:
            return _recut(part, entries, fill_head=part.number == 1 and state.head_filled)
    held = state.head is HeadPolicy.HOLD and not (state.parts and state.parts[0].number == 1)
    head = _held_head(entries, state, ended=ended) if held else None
    if held and (head is None or ended):
        return head  # at the end at once: a store that joins parts as they come holds the others in memory
    first, number = 0, 1
    if state.parts:
        first, number = _entry_from(entries, _stop(state.parts[-1])), state.parts[-1].number + 1
    elif head is not None:
        first, number = head.last + 1, 2
    following = _cut(number, first, entries, state, ended=ended)
    if following is not None or not ended:
        return following
    if state.head is HeadPolicy.REPLACE and not state.head_filled:
        return _recut(state.parts[0], entries, fill_head=True)
    return None


def _held_head(entries: Sequence[IndexEntry], state: UploadState, *, ended: bool) -> SendPart | None:
    """Part 1, which ends where the part behind it begins, if that was sent already."""
    if not state.parts:
        return _cut(1, 0, entries, state, ended=ended)
    stop = state.parts[0].offset
    after_head = _entry_from(entries, stop)
    if entries[after_head - 1].stop != stop:
        raise _spool_lost(stop)
    return SendPart(1, 0, after_head - 1, 0, stop, fill_head=True)


def _cut(
    number: int, first: int, entries: Sequence[IndexEntry], state: UploadState, *, ended: bool
) -> SendPart | None:
    if first >= len(entries):
        return None
    if number > PARTS_PER_UPLOAD_MAX:
        raise BystanderError(
            "object_too_large", "No store takes a larger object.", fault=Fault.DESTINATION, status=507
        )
    wanted = entries[first].offset + part_size_bytes(number, state.part_size_bytes)
    last = bisect_left(entries, wanted, lo=first, key=lambda entry: entry.stop)
    if last == len(entries):
        if not ended:
            return None
        last -= 1
    offset = entries[first].offset
    fill = number == 1 and state.head is HeadPolicy.HOLD
    return SendPart(number, first, last, offset, entries[last].stop - offset, fill)


def _recut(part: Part, entries: Sequence[IndexEntry], *, fill_head: bool) -> SendPart:
    first, behind = _entry_from(entries, part.offset), _entry_from(entries, _stop(part))
    if behind <= first or entries[behind - 1].stop != _stop(part):
        raise _spool_lost(part.offset)
    return SendPart(part.number, first, behind - 1, part.offset, part.size, fill_head)


def _entry_from(entries: Sequence[IndexEntry], offset: int) -> int:
    """Where the fragment at `offset` stands in the index, or would; spool_damaged where another covers it."""
    place = _entry_at(entries, offset)
    if place < len(entries) and entries[place].offset != offset:
        raise _spool_lost(offset)
    return place


def _spool_lost(offset: int) -> BystanderError:
    return BystanderError(
        "spool_damaged",
        f"The spool lost fragments around byte {offset} that have to be sent.",
        fault=Fault.DESTINATION,
        status=500,
    )


def _entry_at(entries: Sequence[IndexEntry], offset: int) -> int:
    return bisect_left(entries, offset, key=lambda entry: entry.offset)


def _stop(part: Part) -> int:
    return part.offset + part.size


# --- what the actions' outcomes make of the state ----------------------------------------------------
def begun(state: UploadState, upload_id: str, *, room: int = 0) -> UploadState:
    """The store opened a multipart upload, whose head is `room` bytes longer than the spool's."""
    return _moved(state, Outcome.BEGUN, upload_id=upload_id, parts=(), head_growth=room)


def sent(
    state: UploadState,
    action: SendPart,
    part: Part,
    damaged: Sequence[int] = (),
    *,
    growth: int = 0,
    head_crc32c: int | None = None,
) -> UploadState:
    """The store acknowledged a part; parts stay in the order of their numbers, offsets are the spool's."""
    others = [known for known in _distrusted(state.parts, part) if known.number != part.number]
    return _moved(
        state,
        Outcome.PART_TAKEN,
        parts=tuple(sorted([*others, part], key=lambda known: known.number)),
        head_filled=state.head_filled or action.fill_head,
        head_growth=growth if action.fill_head else state.head_growth,
        head_crc32c=state.head_crc32c if head_crc32c is None else head_crc32c,
        damaged=damaged_at(state, damaged).damaged,
        acknowledged=max(state.acknowledged, _stop(part)),
    )


def _distrusted(parts: Sequence[Part], taken: Part) -> list[Part]:
    """Once a part's tag turns out to be its MD5, those whose tag is another have to be sent again."""
    if taken.etag != taken.md5:
        return list(parts)
    return [msgspec.structs.replace(part, etag="") if is_suspect(part) else part for part in parts]


def is_suspect(part: Part) -> bool:
    """Whether the store says another digest of it than ours, where its tags are digests."""
    return bool(part.md5) and part.etag not in ("", part.md5)


def tags_are_digests(parts: Sequence[Part]) -> bool:
    """Whether this store's tags are MD5s: as soon as one of them is."""
    return any(part.etag == part.md5 for part in parts if part.etag)


def part_of(action: SendPart, *, etag: str, md5: str) -> Part:
    """The part that `action` sends, as the store acknowledged it."""
    return Part(number=action.number, offset=action.offset, size=action.size, etag=etag, md5=md5)


def placed(state: UploadState) -> list[Part]:
    """The parts as they stand in the object: the spool's, moved by what its head is longer."""
    growth = state.head_growth
    return [
        msgspec.structs.replace(part, size=part.size + growth)
        if part.number == 1
        else msgspec.structs.replace(part, offset=part.offset + growth)
        for part in state.parts
    ]


def put_whole(
    state: UploadState,
    etag: str,
    damaged: Sequence[int],
    *,
    growth: int,
    size: int = 0,
    head_crc32c: int | None = None,
) -> UploadState:
    """The store took the whole recording at once, `size` bytes of the spool; `etag` is what it must have."""
    return _moved(
        damaged_at(state, damaged),
        Outcome.WHOLE_TAKEN,
        etag=etag,
        head_growth=growth,
        head_crc32c=head_crc32c,
        acknowledged=max(state.acknowledged, size),
    )


def object_size(state: UploadState, entries: Sequence[IndexEntry]) -> int:
    """The size that the finished object has: also of what only the store still has."""
    recorded = entries[-1].stop if entries else 0
    held = _stop(state.parts[-1]) if state.parts else 0
    return max(recorded, held) + state.head_growth


def damaged_at(state: UploadState, offsets: Sequence[int]) -> UploadState:
    """These fragments could not be read from the spool."""
    return msgspec.structs.replace(state, damaged=tuple(sorted({*state.damaged, *offsets})))


def empty(state: UploadState) -> UploadState:
    """There is nothing to ship."""
    return _moved(state, Outcome.NOTHING_RECORDED)


def completed(state: UploadState, etag: str | None) -> UploadState:
    """The store joined the parts; `etag` is what the object must have."""
    return _moved(state, Outcome.JOINED, etag=etag)


def verified(state: UploadState, info: ObjectInfo, proof: Proof, shortfall: Shortfall) -> UploadState:
    """The object was looked at and is what it should be."""
    return _moved(state, Outcome.PROVED, stored=_stored(state, info, proof, shortfall))


def held_already(state: UploadState, info: ObjectInfo, shortfall: Shortfall) -> UploadState:
    """A longer object of this recording holds every fragment of the spool, which comes from the past."""
    stored = _stored(state, info, Proof.HELD_ALREADY, shortfall)
    whole = msgspec.structs.replace(stored, damaged_fragments=0)
    return _moved(state, Outcome.HELD_ALREADY, stored=whole, damaged=())


def _stored(state: UploadState, info: ObjectInfo, proof: Proof, shortfall: Shortfall) -> StoredObject:
    return StoredObject(
        key=state.key,
        size=info.size,
        etag=info.etag,
        damaged_fragments=len(state.damaged),
        missing_bytes=shortfall.bytes,
        missing_us=shortfall.duration_us,
        altered=shortfall.altered,
        proof=proof,
    )


def restarted(state: UploadState, head: HeadPolicy | None = None) -> UploadState:
    """Begin from nothing: the store lost or spoilt what it had; the spool still has everything."""
    outcome = Outcome.DISPROVED if state.phase is Phase.COMPLETED else Outcome.LOST
    return UploadState(
        key=state.key,
        phase=after(state.phase, outcome),
        head=head or state.head,
        part_size_bytes=state.part_size_bytes,
        container=state.container,
        acknowledged=state.acknowledged,
        strays=True,
    )


def left_fragmented(state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
    """It cannot be made an ordinary file; what was sent of one is sent again as it was recorded."""
    begun_ordinary = state.head_filled or any(_stop(part) > entries[-1].stop for part in state.parts)
    left = restarted(state) if begun_ordinary or state.phase is Phase.COMPLETED else state
    return msgspec.structs.replace(left, container=Container.FMP4)


def suspected(state: UploadState) -> UploadState:
    """The store may have begun an upload without our hearing of it."""
    return msgspec.structs.replace(state, strays=True)


def events_stored(state: UploadState) -> UploadState:
    """The sidecar is in the store."""
    return _moved(state, Outcome.EVENTS_TAKEN, events_stored=True)


def reconciled(state: UploadState, listed: Sequence[ListedPart]) -> UploadState:
    """Believe the store: parts that it does not list as we know them must be sent again."""
    found = {part.number: part for part in listed}

    def held_by_store(part: Part) -> bool:
        other = found.get(part.number)
        size = part.size + (state.head_growth if part.number == 1 else 0)
        return other is not None and (other.size, other.etag) == (size, part.etag)

    parts = tuple(p if held_by_store(p) else msgspec.structs.replace(p, etag="") for p in state.parts)
    return msgspec.structs.replace(state, parts=parts)


def unrecorded(state: UploadState, action: Action, listed: Sequence[ListedPart]) -> ListedPart | None:
    """The part that `action` would send, if the store has one of that number and size we know nothing of.

    So it was acknowledged just before a crash; it counts if its digest is that of the spool's bytes.
    """
    if not isinstance(action, SendPart) or any(p.number == action.number for p in state.parts):
        return None
    size = action.size + (state.head_growth if action.number == 1 else 0)
    return next((p for p in listed if (p.number, p.size) == (action.number, size)), None)


def same_rule(expected: str, found: str) -> bool:
    """Whether two ETags are made by one rule, so that a difference means other bytes."""
    return len(expected) == len(found) and expected.rpartition("-")[1:] == found.rpartition("-")[1:]


def _moved(state: UploadState, outcome: Outcome, **changes: Any) -> UploadState:
    return msgspec.structs.replace(state, phase=after(state.phase, outcome), **changes)
