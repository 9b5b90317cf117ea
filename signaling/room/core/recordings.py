"""Recordings in a room: told to its seats, which are invited to them and ask for a start or a stop. Pure.

Recordings are told as they change. Each seat is invited once to each recording that takes publishers, where
its participant agrees if that is asked for, and told when it ends. One start is asked for at a time.
"""

from datetime import datetime

from recorder.kernel.message import ConsentAnswer
from recorder.kernel.recording import Recording
from signaling.room.core import announcement
from signaling.room.core.announcement import OTHERWISE, RecordingLinks, RoomPolicy, words
from signaling.room.core.call import Call
from signaling.room.core.effects import ConsentAnswered, Effect, RecordingUnwanted, RecordingWanted
from signaling.room.core.known_recordings import KnownRecordings
from signaling.room.core.messages import (
    ConsentChanged,
    Error,
    RecordingChanged,
    RecordingNotice,
    RecordingStatus,
    StatusChanged,
    Unpublish,
)
from signaling.room.core.seats import Seat, Seats
from signaling.room.core.status import Situation, status


class RoomRecordings:
    """The recordings as the seats of one room see them. Methods take one event and return its effects."""

    def __init__(self, seats: Seats, call: Call, policy: RoomPolicy, links: RecordingLinks) -> None:
        self._seats = seats
        self._call = call
        self._policy = policy
        self._links = links
        self._known = KnownRecordings()
        self._starting = False  # one was asked for that we have not heard of yet

    def notices(self, seat: Seat, utc_now: datetime) -> list[RecordingNotice]:
        """All that whoever takes this seat may see of recordings."""
        if not self._policy.may_see(seat.participant.role):
            return []
        return [self._notice(recording, seat, utc_now) for recording in self._known.in_order()]

    def publishable(self) -> list[str]:
        """Those that take publishers."""
        return [recording.id for recording in self._known if announcement.is_publishable(recording)]

    def status(self, seat: Seat, utc_now: datetime) -> RecordingStatus:
        """What is announced to this seat now; it is taken for told."""
        status = self._status(seat, utc_now)
        seat.shows(status)
        return status

    def statuses(self, utc_now: datetime) -> list[Effect]:
        """What is announced, to each seat that was told another thing before."""
        effects: list[Effect] = []
        for seat in self._seats:
            status = self._status(seat, utc_now)
            if seat.connection is not None and not seat.shows(status):
                effects += self._seats.tell(seat, StatusChanged(status=status))
        return effects

    def invite(self, seat: Seat) -> list[Effect]:
        """To every recording that takes publishers, and that this page was not invited to yet."""
        if not self._policy.may_take(seat.answer):
            return []
        effects: list[Effect] = []
        for recording in self._known:
            invitation = announcement.invitation(recording, seat.participant, self._policy)
            is_new = seat.connection is not None and recording.id not in seat.invited
            if invitation is not None and is_new:
                seat.invited.add(recording.id)
                effects += self._seats.tell(seat, invitation)
        return effects

    # --- what recordings do ------------------------------------------------------------------------
    def changed(self, recording: Recording, utc_now: datetime) -> list[Effect]:
        """One is as it is said here, now."""
        if not self._known.take(recording):
            return []
        self._starting = self._starting and not announcement.is_active(recording)
        effects: list[Effect] = []
        for seat in self._seats:
            if self._policy.may_see(seat.participant.role):
                notice = self._notice(recording, seat, utc_now)
                effects += self._seats.tell(seat, RecordingChanged(recording=notice))
            if announcement.is_publishable(recording):
                effects += self.invite(seat)
            elif recording.id in seat.invited:
                seat.invited.discard(recording.id)
                effects += self._seats.tell(seat, Unpublish(recording=recording.id, ended=True))
        return effects

    def started(self, recording: Recording, utc_now: datetime) -> list[Effect]:
        """The start that was wanted succeeded; we may have heard of it already."""
        self._starting = False
        return self.changed(recording, utc_now) if recording.id not in self._known else []

    def refused(self, asker: Seat | None, code: str, detail: str) -> list[Effect]:
        """A start or a stop did not work: whoever asked is told why, in words where there are some."""
        starting, self._starting = self._starting, False
        if asker is None:
            return []
        if starting and words(code) != OTHERWISE:
            detail = f"The recording could not be started: {words(code)}."
        return self._seats.tell(asker, Error(code=code, detail=detail))

    # --- what pages ask for ------------------------------------------------------------------------
    def start(self, seat: Seat) -> list[Effect]:
        """Everybody is told that one was asked for."""
        if seat.participant.role not in self._policy.may_record:
            return self._seats.tell(seat, Error(code="forbidden", detail="Your role may not record."))
        if self._starting or self._known.active():
            running = Error(code="already_recording", detail="A recording is running already.")
            return self._seats.tell(seat, running)
        self._starting = True
        return [RecordingWanted(seat.participant)]

    def stop(self, seat: Seat) -> list[Effect]:
        """All that run and that this role may stop."""
        role, active = seat.participant.role, self._known.active()
        if not active and role in self._policy.may_record:
            return self._seats.tell(seat, Error(code="not_recording", detail="No recording is running."))
        own = [recording for recording in active if self._policy.may_stop(role, recording)]
        if not own:
            return self._seats.tell(seat, Error(code="forbidden", detail="Your role may not stop this."))
        return [RecordingUnwanted(recording.id, seat.participant) for recording in own]

    # --- who agrees to them ------------------------------------------------------------------------
    def answered(self, seat: Seat, answer: ConsentAnswer) -> list[Effect]:
        """A refusal counts at once, an agreement when it is kept."""
        effects: list[Effect] = []
        if answer is ConsentAnswer.REFUSED:
            seat.consented(answer)
            effects = [] if self._policy.may_take(answer) else self._uninvite(seat)
        return [*effects, ConsentAnswered(seat.participant, answer)]

    def consent_kept(self, seat: Seat, answer: ConsentAnswer) -> list[Effect]:
        """This answer counts from now on: who agreed is invited, who refused leaves."""
        seat.consented(answer)
        changed = self._seats.tell(seat, ConsentChanged(answer=answer))
        return changed + (self.invite(seat) if self._policy.may_take(answer) else self._uninvite(seat))

    def _uninvite(self, seat: Seat) -> list[Effect]:
        ended = [Unpublish(recording=recording) for recording in seat.uninvite_all()]
        return [effect for message in ended for effect in self._seats.tell(seat, message)]

    def _status(self, seat: Seat, utc_now: datetime) -> RecordingStatus:
        known, call = self._known.in_order(), self._call
        situation = Situation(known, call.began_at, call.unrecorded, self._starting)
        return status(situation, seat.participant.role, self._policy, utc_now)

    def _notice(self, recording: Recording, seat: Seat, utc_now: datetime) -> RecordingNotice:
        return announcement.notice(
            recording,
            role=seat.participant.role,
            policy=self._policy,
            links=self._links,
            utc_now=utc_now,
        )
