"""The roster of a recording: who took part in it, and from when to when, as its events say. Pure."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from recorder.kernel.conversation import Role
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import Presence

PARTICIPANTS_LISTED_MAX = 512  # who holds an entry point's token may publish under any name
NAME_CHARS_MAX = 256  # as the database keeps it

_decode = msgspec.json.Decoder(MediaEvent).decode


class Roster:
    """Everybody by id in the order in which they came, with all sessions of each taken together."""

    def __init__(self, events: Iterable[MediaEvent] = ()) -> None:
        self._came: dict[str, MediaEvent] = {}
        self._left_s: dict[str, float] = {}
        self._sessions: dict[str, list[float]] = {}  # of those who are there: when each began
        for event in events:
            self.observe(event)

    @property
    def names(self) -> list[str]:
        return [came.name or "" for came in self._came.values()]

    def observe(self, event: MediaEvent) -> bool:
        """Take in what happened; whether somebody came or went by it."""
        match event.kind:
            case "joined" if event.participant is not None:
                return self._join(event.participant, event)
            case "left" if event.participant in self._sessions:
                began_s = self._sessions[event.participant]
                return self._keep(event.participant, began_s[1:], event.at_s)
            case "gap":  # told after the joining of those who came to the new worker, which began then
                return self._keep_later_than(event.at_s, event.at_s)
            case "ended":
                return self._keep_later_than(math.inf, event.at_s)
        return False

    def presences(self, started_at: datetime) -> list[Presence]:
        """On the wall's clock, for a recording whose zero was then."""

        def moment(at_s: float) -> datetime:
            return started_at + timedelta(seconds=at_s)

        return [_presence(who, came, self._left_s.get(who), moment) for who, came in self._came.items()]

    def _join(self, who: str, event: MediaEvent) -> bool:
        if who not in self._came and len(self._came) >= PARTICIPANTS_LISTED_MAX:
            return False
        self._came.setdefault(who, event)
        self._left_s.pop(who, None)
        sessions = self._sessions.setdefault(who, [])
        sessions.append(event.at_s)
        return len(sessions) == 1

    def _keep(self, who: str, sessions: list[float], now_s: float) -> bool:
        """Only these go on; whether there were none."""
        if sessions:
            self._sessions[who] = sessions
            return False
        del self._sessions[who]
        self._left_s[who] = now_s
        return True

    def _keep_later_than(self, begin_s: float, now_s: float) -> bool:
        before = dict(self._sessions)
        for who, sessions in before.items():
            self._keep(who, [began_s for began_s in sessions if began_s >= begin_s], now_s)
        return self._sessions.keys() != before.keys()


def roster_of(lines: bytes) -> Roster:
    """The roster that a recording's events.jsonl tells; a line that is damaged is left out."""
    return Roster(event for line in lines.splitlines() if (event := _event(line)) is not None)


def _event(line: bytes) -> MediaEvent | None:
    try:
        return _decode(line)
    except msgspec.DecodeError:
        return None


def _presence(
    who: str, came: MediaEvent, left_s: float | None, moment: Callable[[float], datetime]
) -> Presence:
    return Presence(
        participant=who[:NAME_CHARS_MAX],
        name=(came.name or "")[:NAME_CHARS_MAX],
        role=came.role or Role.VISITOR,
        joined_at=moment(came.at_s),
        left_at=None if left_s is None else moment(left_s),
    )
