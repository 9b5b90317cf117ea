"""The roster of a recording: who took part in it, and from when to when, as its events say. Pure."""

from collections import Counter
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
        self._sessions: Counter[str] = Counter()
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
            case "left" if event.participant in self._came:
                return self._leave(event.participant, event.at_s)
            case "gap" | "ended":  # sessions end with their worker
                return self._end_sessions(event.at_s)
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
        self._sessions[who] += 1
        return self._sessions[who] == 1

    def _leave(self, who: str, at_s: float) -> bool:
        self._sessions[who] -= 1
        return self._sessions[who] <= 0 and self._leave_all(who, at_s)

    def _end_sessions(self, at_s: float) -> bool:
        present = list(self._sessions)
        for who in present:
            self._leave_all(who, at_s)
        return bool(present)

    def _leave_all(self, who: str, at_s: float) -> bool:
        del self._sessions[who]
        self._left_s[who] = at_s
        return True


def roster_of(lines: bytes) -> Roster:
    """The roster that a recording's events.jsonl tells; a damaged line is somebody's guess no more."""
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
