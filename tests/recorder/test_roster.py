"""Who took part in a recording, from its events."""

from datetime import UTC, datetime, timedelta

import msgspec

from recorder.archive.roster import PARTICIPANTS_LISTED_MAX, Roster, roster_of
from recorder.kernel.conversation import Participant, Role
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import Presence
from recorder.services.recording.history import recorded

ZERO = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(kind: str, at_s: float, who: str | None = None) -> MediaEvent:
    return MediaEvent(kind=kind, at_s=at_s, participant=who, name=who and who.title(), role=Role.AGENT)


def times(roster: Roster) -> dict[str, tuple[float, float | None]]:
    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - ZERO).total_seconds()

    return {
        one.participant: (seconds(one.joined_at) or 0.0, seconds(one.left_at))
        for one in roster.presences(ZERO)
    }


def test_it_is_from_the_first_session_to_the_end_of_the_last() -> None:
    said = [event("joined", 1, "ada"), event("joined", 2, "ada"), event("left", 3, "ada")]
    assert times(Roster(said)) == {"ada": (1, None)}
    assert times(Roster([*said, event("left", 4, "ada")])) == {"ada": (1, 4)}
    assert times(Roster([*said, event("left", 4, "ada"), event("joined", 5, "ada")])) == {"ada": (1, None)}


def test_sessions_end_with_their_worker_and_with_the_recording() -> None:
    roster = Roster([event("joined", 0, "ada"), event("joined", 0, "bob"), event("gap", 7)])
    assert times(roster) == {"ada": (0, 7), "bob": (0, 7)}
    roster.observe(event("joined", 8, "bob"))
    assert roster.observe(event("ended", 9))
    assert times(roster) == {"ada": (0, 7), "bob": (0, 9)}


def test_who_came_to_the_worker_after_a_gap_is_there_though_told_before_it() -> None:
    roster = Roster([event("joined", 0, "ada"), event("joined", 0, "bob")])
    assert not roster.observe(event("joined", 7, "ada"))
    assert roster.observe(event("gap", 7))
    assert times(roster) == {"ada": (0, None), "bob": (0, 7)}
    assert roster.observe(event("left", 9, "ada"))
    assert times(roster) == {"ada": (0, 9), "bob": (0, 7)}


def test_only_coming_and_going_changes_it() -> None:
    roster = Roster()
    assert not roster.observe(event("left", 0, "ada"))
    assert roster.observe(event("joined", 0, "ada"))
    assert not roster.observe(event("joined", 0, "ada"))
    assert not roster.observe(event("muted", 0, "ada"))


def test_it_is_read_from_lines_whatever_stands_between_them() -> None:
    lines = b"\n".join([msgspec.json.encode(event("joined", 1, "ada")), b"{", b"[]", b""])
    assert times(roster_of(lines)) == {"ada": (1, None)}


def test_it_has_a_bound() -> None:
    roster = Roster(event("joined", 0, f"p{number}") for number in range(PARTICIPANTS_LISTED_MAX + 1))
    assert len(roster.names) == PARTICIPANTS_LISTED_MAX


def test_who_never_came_is_told_from_who_did_and_publishers_are_listed() -> None:
    def registered(identity: str) -> Participant:
        return Participant(id=identity, conversation="conv", role=Role.AGENT, name=identity)

    until = ZERO + timedelta(seconds=5)
    roster = [
        Presence(participant=who, name=who, role=Role.VISITOR, joined_at=ZERO, left_at=until)
        for who in ("ada", "whip")
    ]
    shown = recorded("conv", [registered("ada"), registered("bob")], roster)
    assert [(one.id, one.joined_at, one.left_at) for one in shown] == [
        ("ada", ZERO, until),
        ("bob", None, None),
        ("whip", ZERO, until),
    ]
    assert (shown[0].role, shown[2].conversation) == (Role.AGENT, "conv")
