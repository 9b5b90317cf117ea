"""The plan alone: every byte is in exactly one part, and parts are what stores take."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.limits import FRAGMENT_BYTES_MAX, MIB, PART_SIZE_BYTES_MIN, PARTS_PER_UPLOAD_MAX
from recorder.kernel.media import FragmentKind
from storage.spool.format import IndexEntry
from storage.store import ListedPart
from storage.upload_plan import plan
from storage.upload_plan.plan import PutWhole, SendPart, Simple
from storage.upload_plan.remedy import Remedy, remedy
from storage.upload_plan.state import HeadPolicy, Phase, UploadState

TERABYTES_5 = 5 * 1024 * 1024 * MIB


def index(sizes: Sequence[int]) -> list[IndexEntry]:
    entries, offset = [], 0
    for at, size in enumerate(sizes):
        kind = FragmentKind.MEDIA if at else FragmentKind.INIT
        entries.append(IndexEntry(kind, offset, size, 0, 0, 0))
        offset += size
    return entries


def fresh(head: HeadPolicy = HeadPolicy.AS_IT_IS, part_size_bytes: int = 100) -> UploadState:
    return UploadState(key="k.mp4", head=head, part_size_bytes=part_size_bytes)


def done(state: UploadState, action: plan.Action) -> UploadState:
    """What a store that never fails makes of the state."""
    if isinstance(action, SendPart):
        etag = f"{action.number}{'-filled' if action.fill_head else ''}"
        return plan.sent(state, action, plan.part_of(action, etag=etag, md5="0"))
    if isinstance(action, PutWhole):
        return plan.completed(state, "e")
    effects = {
        Simple.BEGIN: lambda: plan.begun(state, "u"),
        Simple.PUT_EVENTS: lambda: plan.events_stored(state),
        Simple.COMPLETE: lambda: plan.completed(state, None),
    }
    return effects[action]()


def shipped(state: UploadState, entries: list[IndexEntry], seen: Sequence[int]) -> list[plan.Action]:
    """The actions up to completion, when the index has `seen` entries at each look before the last."""
    actions = []
    for count in [*sorted(seen), None]:
        while state.phase is Phase.SENDING:
            action = plan.decide(state, entries[:count], ended=count is None)
            if action is Simple.WAIT:
                break
            actions.append(action)
            state = done(state, action)
    assert state.phase is Phase.COMPLETED
    return actions


sizes = st.lists(st.integers(1, 150), min_size=2, max_size=60)
looks = st.lists(st.integers(0, 60), max_size=5)


@given(sizes, looks, st.sampled_from(HeadPolicy))
def test_every_byte_is_in_one_part_and_the_cuts_do_not_depend_on_when_one_looks(
    fragment_sizes: list[int], seen: list[int], head: HeadPolicy
) -> None:
    entries = index(fragment_sizes)
    actions = shipped(fresh(head), entries, seen)
    parts = {action.number: action for action in actions if isinstance(action, SendPart)}
    if not parts:
        assert PutWhole(entries[-1].stop) in actions
        assert entries[-1].stop <= 100
        return
    ordered = [parts[number] for number in range(1, len(parts) + 1)]
    offset = 0
    for part in ordered:
        assert part.offset == offset
        assert (entries[part.first].offset, entries[part.last].stop) == (offset, offset + part.size)
        offset += part.size
    assert offset == entries[-1].stop
    assert all(part.size >= 100 for part in ordered[:-1])
    at_once = shipped(fresh(head), entries, [])
    if not any(isinstance(action, PutWhole) for action in at_once):
        assert {a.number: a for a in at_once if isinstance(a, SendPart)} == parts


@given(sizes, looks)
def test_a_held_head_is_sent_once_and_filled(fragment_sizes: list[int], seen: list[int]) -> None:
    actions = shipped(fresh(HeadPolicy.HOLD), index(fragment_sizes), seen)
    heads = [a for a in actions if isinstance(a, SendPart) and a.number == 1]
    assert all(head.fill_head for head in heads)
    assert len(heads) <= 1
    others = [a.number for a in actions if isinstance(a, SendPart) and a.number > 1]
    assert others == list(range(2, len(others) + 2))


@given(sizes, looks)
def test_a_replaced_head_is_filled_the_last_time(fragment_sizes: list[int], seen: list[int]) -> None:
    actions = shipped(fresh(HeadPolicy.REPLACE), index(fragment_sizes), seen)
    heads = [a.fill_head for a in actions if isinstance(a, SendPart) and a.number == 1]
    assert heads in ([], [False, True])


def test_the_events_are_stored_before_the_recording_is() -> None:
    for entries in (index([10, 20]), index([10, 200])):
        actions = shipped(fresh(), entries, [])
        completing = PutWhole(30) if entries[-1].stop == 30 else Simple.COMPLETE
        assert actions.index(Simple.PUT_EVENTS) < actions.index(completing)


@given(sizes, st.data())
def test_what_the_store_lost_is_sent_again_as_it_was(fragment_sizes: list[int], data: st.DataObject) -> None:
    entries = index([*fragment_sizes, 150])
    state = plan.begun(plan.events_stored(fresh()), "u")
    while isinstance(action := plan.decide(state, entries, ended=True), SendPart):
        state = done(state, action)
    whole = state
    kept = data.draw(st.sets(st.sampled_from([part.number for part in whole.parts])))
    listed = [ListedPart(part.number, part.size, part.etag) for part in whole.parts if part.number in kept]
    state = plan.reconciled(whole, listed)
    resent = set()
    while isinstance(action := plan.decide(state, entries, ended=True), SendPart):
        resent.add(action.number)
        state = done(state, action)
    assert resent == {part.number for part in whole.parts} - kept
    assert state.parts == whole.parts


@pytest.mark.parametrize("fragment_bytes", [PART_SIZE_BYTES_MIN, FRAGMENT_BYTES_MAX])
def test_the_largest_object_fits_into_the_parts_that_a_store_takes(fragment_bytes: int) -> None:
    stop, number = 0, 0
    while stop < TERABYTES_5:
        number += 1
        least = plan.part_size_bytes(number, PART_SIZE_BYTES_MIN)
        stop += -(-least // fragment_bytes) * fragment_bytes
    assert number <= PARTS_PER_UPLOAD_MAX


def test_more_parts_than_a_store_takes_are_refused_aloud() -> None:
    entries = index([1] * 12)
    last = plan.SendPart(PARTS_PER_UPLOAD_MAX, 0, 9, 0, 10)
    state = plan.sent(plan.begun(fresh(), "u"), last, plan.part_of(last, etag="e", md5="0"))
    with pytest.raises(Exception, match="object_too_large"):
        plan.decide(state, entries, ended=True)


def test_a_recording_without_media_is_given_up_only_at_its_end() -> None:
    assert plan.decide(fresh(), [], ended=False) is Simple.WAIT
    assert plan.decide(fresh(), index([500]), ended=True) is Simple.GIVE_UP_EMPTY


def test_an_upload_that_is_over_decides_nothing() -> None:
    over = msgspec.structs.replace(fresh(), phase=Phase.VERIFIED)
    with pytest.raises(ValueError, match="nothing to do"):
        plan.decide(over, index([10, 20]), ended=True)


SEND_HEAD = SendPart(1, 0, 1, 0, 100, fill_head=True)
SEND_OTHER = SendPart(2, 2, 3, 100, 100)


@pytest.mark.parametrize(
    ("code", "action", "refusals", "failures", "expected"),
    [
        ("store_unreachable", SEND_OTHER, 0, 1, Remedy.TRY_AGAIN),
        ("store_unreachable", SEND_OTHER, 0, 3, Remedy.ASK_THE_STORE),
        ("store_failed", Simple.COMPLETE, 0, 2, Remedy.TRY_AGAIN),
        ("store_failed", Simple.COMPLETE, 0, 6, Remedy.ASK_THE_STORE),
        ("store_denied", Simple.BEGIN, 0, 3, Remedy.TRY_AGAIN),
        ("bucket_missing", Simple.COMPLETE, 0, 3, Remedy.TRY_AGAIN),
        ("disk_full", SEND_OTHER, 0, 3, Remedy.TRY_AGAIN),
        ("object_corrupted", SEND_OTHER, 0, 1, Remedy.TRY_AGAIN),
        ("object_corrupted", Simple.VERIFY, 0, 1, Remedy.TRY_AGAIN),
        ("object_missing", Simple.VERIFY, 0, 2, Remedy.TRY_AGAIN),
        ("object_corrupted", Simple.VERIFY, 0, 3, Remedy.RESTART),
        ("object_missing", Simple.VERIFY, 0, 3, Remedy.RESTART),
        ("object_missing", SEND_OTHER, 0, 1, Remedy.ASK_THE_STORE),
        ("upload_missing", SEND_OTHER, 0, 1, Remedy.ASK_THE_STORE),
        ("part_refused", Simple.COMPLETE, 0, 1, Remedy.ASK_THE_STORE),
        ("part_refused", Simple.COMPLETE, 1, 1, Remedy.RESTART),
        ("part_refused", SEND_OTHER, 1, 1, Remedy.RESTART),
        ("part_refused", SEND_HEAD, 1, 1, Remedy.RESTART_HOLDING_HEAD),
        ("spool_damaged", SEND_HEAD, 0, 1, Remedy.GIVE_UP),
        ("stored_is_longer", Simple.COMPLETE, 0, 1, Remedy.GIVE_UP),
        ("object_too_large", SEND_OTHER, 0, 1, Remedy.GIVE_UP),
    ],
)
def test_the_remedy(code: str, action: plan.Action, refusals: int, failures: int, expected: Remedy) -> None:
    assert remedy(code, action, refusals=refusals, failures=failures) is expected
