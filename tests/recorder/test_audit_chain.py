"""The chain of audit entries: what is changed, removed or reordered in it is found, and which entry it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from recorder.audit.bounds import DETAIL_CHARS_MAX, DETAILS_MAX, bounded
from recorder.audit.chain import (
    BEGINNING,
    EXPIRED,
    Fault,
    Line,
    Verification,
    chained,
    expired_details,
    hash_of,
    lines_of,
)
from recorder.audit.repeats import ACTOR_MAX, STRANGERS_MAX, WINDOW, Repeats
from recorder.kernel.audit.act import NOT_AN_ID, Act, Actor, ActorKind, AuditHead, Outcome
from recorder.kernel.ids import new_id
from recorder.kernel.limits import TEXT_CHARS_MAX

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINES = 9


def act(action: str = "getRecording", *, after_s: float = 0, **fields: object) -> Act:
    actor = Actor(kind=ActorKind.KEY, id="key_a", address="192.0.2.1")
    known = {"actor": actor, **fields}
    return Act(occurred_at=NOW + timedelta(seconds=after_s), action=action, **known)  # type: ignore[arg-type]


def chain(count: int = LINES) -> tuple[list[Line], AuditHead]:
    entries, head = chained(BEGINNING, [act(after_s=number, target=str(number)) for number in range(count)])
    return [Line(text, entry.sequence) for entry, text in entries], head


def faults(lines: list[Line], *heads: AuditHead) -> list[tuple[str, int]]:
    return [(fault.kind, fault.sequence) for fault in verified(lines, *heads)]


def verified(lines: list[Line], *heads: AuditHead) -> list[Fault]:
    verification = Verification(heads)
    for line in lines:
        verification.read(line)
    return verification.finish()


def exported(lines: list[Line]) -> list[Line]:
    """The same lines without a place of their own."""
    return list(lines_of(line.text + "\n" for line in lines))


def change(lines: list[Line]) -> list[Line]:
    return [
        line._replace(text=line.text.replace("192.0.2.1", "192.0.2.9")) if line.sequence == 4 else line
        for line in lines
    ]


def remove(lines: list[Line]) -> list[Line]:
    return lines[:3] + lines[5:]


def swap(lines: list[Line]) -> list[Line]:
    """The texts of two places, as somebody would who writes into the table."""
    third, fourth = lines[2], lines[3]
    return [*lines[:2], Line(fourth.text, 3), Line(third.text, 4), *lines[4:]]


def damage(lines: list[Line]) -> list[Line]:
    return [line._replace(text="{") if line.sequence == 4 else line for line in lines]


@pytest.mark.parametrize("count", [0, 1, 2, LINES])
def test_a_chain_that_nobody_touched_is_whole(count: int) -> None:
    lines, head = chain(count)
    assert faults(lines, head) == faults(exported(lines), head) == []


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (change, [("changed", 4)]),
        (remove, [("removed", 4)]),
        (swap, [("reordered", 3), ("reordered", 4)]),
        (damage, [("unreadable", 4)]),
    ],
)
def test_what_was_done_to_it_is_told_with_the_entry(
    tamper: Callable[[list[Line]], list[Line]], found: list[tuple[str, int]]
) -> None:
    assert faults(tamper(chain()[0])) == found


def test_an_export_whose_lines_were_reordered() -> None:
    lines = exported(chain()[0])
    lines[2], lines[3] = lines[3], lines[2]
    assert faults(lines) == [("reordered", 3)]


def test_the_newest_entries_are_missed_where_the_head_was_noted() -> None:
    lines, head = chain()
    assert faults(lines[:-3]) == []
    assert faults(lines[:-3], head) == [("removed", 7)]


def test_a_chain_that_was_made_anew_is_another_one_than_was_noted() -> None:
    lines, _ = chain()
    early = AuditHead(sequence=6, hash=hash_of(lines[5].text))
    entries, _ = chained(BEGINNING, [act("stopRecording", after_s=number) for number in range(LINES)])
    forged = [Line(text, entry.sequence) for entry, text in entries]
    assert faults(forged) == []
    assert faults(forged, early) == [("rewritten", 6)]


def test_the_oldest_entries_may_be_gone_where_a_later_one_says_that_they_expired() -> None:
    lines, head = chain()
    gone = AuditHead(sequence=4, hash=hash_of(lines[3].text))
    assert faults(lines[4:], head) == [("removed", 4)]
    entries, _ = chained(head, [act(EXPIRED, details=expired_details(gone))])
    rest = [*lines[4:], Line(entries[0][1], entries[0][0].sequence)]
    assert faults(rest, head) == []
    assert faults(rest[1:], head) == [("removed", 5)]  # one more than expired


def test_a_first_entry_follows_nothing() -> None:
    entries, _ = chained(AuditHead(sequence=0, hash="f" * 64), [act()])
    assert faults([Line(entries[0][1], 1)]) == [("changed", 1)]


class TestRepeats:
    def test_the_first_is_told_at_once_and_the_others_as_one(self) -> None:
        repeats = Repeats()
        assert repeats.take(act()) == [act()]
        assert [repeats.take(act(after_s=later)) for later in (1, 2, 3)] == [[], [], []]
        (counted,) = repeats.over(NOW + WINDOW)
        assert (counted.occurred_at, counted.until, counted.repeats) == (
            NOW + timedelta(seconds=1),
            NOW + timedelta(seconds=3),
            2,
        )
        assert repeats.over(None) == []

    def test_others_are_others(self) -> None:
        repeats = Repeats()
        kinds = [act(), act("getConversation"), act(code="forbidden"), act(recording="rec_1")]
        assert [repeats.take(kind) for kind in kinds] == [[kind] for kind in kinds]

    def test_after_its_window_it_is_told_again(self) -> None:
        repeats, window_s = Repeats(), WINDOW.total_seconds()
        again, much_later = act(after_s=1), act(after_s=window_s)
        repeats.take(act())
        repeats.take(again)
        first, second = repeats.take(much_later)
        assert (first.occurred_at, second) == (again.occurred_at, much_later)

    def test_no_more_is_remembered_than_bounded_and_the_others_are_counted(self) -> None:
        repeats = Repeats(remembered_max=2)
        acts = [act(target=str(number)) for number in range(9)]
        taken = [repeats.take(one) for one in acts]
        assert taken == [[acts[0]], [acts[1]], [act()], *([[]] * 6)]
        assert repeats.remembered == 3
        (counted,) = repeats.over(None)
        assert (counted.target, counted.repeats) == (None, 5)
        assert repeats.remembered == 0

    def test_one_actor_takes_nobody_elses_room(self) -> None:
        repeats = Repeats()
        for number in range(2 * ACTOR_MAX):
            repeats.take(act(target=str(number)))
        other = act(actor=Actor(kind=ActorKind.KEY, id="key_b"), target="1")
        assert repeats.take(other) == [other]
        assert repeats.remembered == ACTOR_MAX + 2

    def test_addresses_of_strangers_are_bounded_and_a_network_is_one(self) -> None:
        repeats = Repeats()
        for number in range(2 * STRANGERS_MAX):
            repeats.take(refused(f"2001:db8:0:{number:x}::1"))
            assert repeats.take(refused(f"2001:db8:0:{number:x}::2", target=str(number))) == []
        assert repeats.remembered == STRANGERS_MAX + 1
        assert repeats.take(act()) == [act()]

    def test_windows_that_are_over_make_room(self) -> None:
        repeats = Repeats(remembered_max=1)
        repeats.take(act(target="a"))
        repeats.over(NOW + WINDOW)
        later = act(target="b", after_s=WINDOW.total_seconds())
        assert repeats.take(later) == [later]


def refused(address: str, **fields: object) -> Act:
    actor = Actor(kind=ActorKind.NOBODY, address=address)
    return act(actor=actor, outcome=Outcome.REFUSED, code="unauthorized", **fields)


class TestBounds:
    def test_what_is_ours_stays(self) -> None:
        whole = act(conversation=new_id("conv"), recording=new_id("rec"), target="north", details={"a": "b"})
        assert bounded(whole) == whole

    def test_every_text_is_bounded(self) -> None:
        long = "a" * 9_000
        actor = Actor(kind=ActorKind.PARTICIPANT, id=long, name=long, role=long, account=long, address=long)
        details = {f"{number}{long}": long for number in range(2 * DETAILS_MAX)}
        texts = dict.fromkeys(("code", "request", "conversation", "recording", "target"), long)
        found = bounded(act(actor=actor, details=details, **texts))
        assert (found.conversation, found.recording) == (NOT_AN_ID, NOT_AN_ID)
        assert len(found.details) == DETAILS_MAX
        assert max(map(len, found.details.values())) == DETAIL_CHARS_MAX
        names = (*found.details, found.code, found.request, found.target)
        people = (
            found.actor.id,
            found.actor.name,
            found.actor.role,
            found.actor.account,
            found.actor.address,
        )
        assert {len(text or "") for text in (*names, *people)} == {TEXT_CHARS_MAX}
