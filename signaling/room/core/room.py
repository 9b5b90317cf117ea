"""The room as a state machine: who is in, and who is told what; events in, effects out, time as an argument.

A *seat* is a participant's place. It is taken by one page at a time (an `instance`) over one connection, and
is kept for RESUME_TIMEOUT_S when the connection drops: media flows between the peers meanwhile and the call
goes on. Descriptions and candidates pass from seat to seat unread. The hidden participant has no seat. What
is told of recordings is signaling.room.core.recordings'.

The CALL interaction begins when an agent, or two, have a seat (RoomPolicy.is_call), and ends when they have
not. It is held until the control plane has decided: until then no signal is passed on, so that nobody can
connect, and an aborted call empties the room.
"""

from collections.abc import Iterable
from typing import assert_never

from recorder.kernel.conversation import Participant
from recorder.kernel.files.file import ConversationServices, SharedFile
from recorder.kernel.media import IceServer
from recorder.kernel.message import ConsentAnswer
from recorder.kernel.recording import Recording
from signaling.room.core import announcement
from signaling.room.core.announcement import RecordingLinks, RoomPolicy
from signaling.room.core.call import Call
from signaling.room.core.effects import (
    CallBegan,
    Close,
    Effect,
    Now,
    Send,
    ShareBegan,
    ShareEnded,
    Spoken,
)
from signaling.room.core.files import RoomFiles
from signaling.room.core.history import RoomHistory, is_shown
from signaling.room.core.limits import (
    PARTICIPANTS_PER_ROOM_MAX,
    RESUME_TIMEOUT_S,
)
from signaling.room.core.messages import (
    AnswerConsent,
    Away,
    Changed,
    ChatLine,
    ClientMessage,
    CloseCode,
    Error,
    InteractionState,
    Joined,
    Leave,
    Left,
    Ping,
    Pong,
    Returned,
    Said,
    Say,
    ServicesChanged,
    SetMedia,
    SetScreen,
    Signal,
    Signaled,
    StartRecording,
    StopRecording,
    Welcome,
)
from signaling.room.core.recordings import RoomRecordings
from signaling.room.core.seats import Seat, Seats

_RESUME_TIMEOUT_NS = round(RESUME_TIMEOUT_S * 1e9)


class Room:
    """One conversation's room. Every method takes one event and returns its effects, in order."""

    def __init__(
        self,
        policy: RoomPolicy,
        links: RecordingLinks = announcement.own_links,
        history: Iterable[ChatLine] = (),
    ) -> None:
        """`history`: the newest lines that are kept of the conversation."""
        self._policy = policy
        self._seats = Seats()
        self._call = Call()
        self._recordings = RoomRecordings(self._seats, self._call, policy, links)
        self._history = RoomHistory(history)
        self._files = RoomFiles(self._seats, policy, self._history)

    @property
    def is_empty(self) -> bool:
        """Nobody has a seat, not even one that is kept for a return."""
        return not self._seats

    def is_seated(self, participant: str) -> bool:
        """Whether this participant has a seat and a connection to it."""
        seat = self._seats.of(participant)
        return seat is not None and seat.connection is not None

    def deadline_ns(self) -> int | None:
        """When `expire` has something to do next, on the monotonic clock."""
        return min((s.away_until_ns for s in self._seats if s.away_until_ns is not None), default=None)

    # --- coming and going --------------------------------------------------------------------------
    def enter(
        self,
        connection: int,
        participant: Participant,
        instance: str,
        *,
        ice_servers: list[IceServer],
        answer: ConsentAnswer | None = None,
        services: ConversationServices | None = None,
        now: Now,
    ) -> list[Effect]:
        """A page has proved who it is: it takes its seat again, replaces another page, or gets a new seat.

        `answer` is what this participant has said to being recorded, as it is kept; `services` what they may
        do beside talking.
        """
        seat = self._seats.of(participant.id)
        if seat is None and len(self._seats) >= PARTICIPANTS_PER_ROOM_MAX:
            full = Error(code="room_full", detail="The room is full.")
            return [Send(connection, full), Close(connection, CloseCode.ROOM_FULL)]
        resumed = seat is not None and seat.instance == instance
        effects: list[Effect] = []
        if seat is not None:
            effects += self._seats.disconnect(seat, CloseCode.REPLACED)
            if not resumed:
                effects += self._vacate(seat)
                seat = None
        if seat is None:
            seat = Seat(participant, instance)
            self._seats.add(seat)
        self._seats.connect(seat, connection)
        seat.taken(answer)
        effects += self._call_changes(now, but=seat)  # whoever is told holds back what they hear of this seat
        arrival = Returned(member=seat.member()) if resumed else Joined(member=seat.member())
        effects.append(Send(connection, self._welcome(seat, resumed, ice_servers, services, now)))
        effects += self._seats.tell_all(arrival, but=seat)
        effects += self._recordings.invite(seat)
        effects += self._files.seated(seat)
        if seat.screen is not None:
            effects += self._seats.tell(seat, seat.share_changed())
        return effects + self._recordings.statuses(now.utc)

    def lost(self, connection: int, now: Now) -> list[Effect]:
        """The socket dropped without a goodbye: the seat is kept for a while."""
        seat = self._seats.lost(connection)
        if seat is None:  # it left, or another page replaced it
            return []
        seat.kept_until(now.monotonic_ns + _RESUME_TIMEOUT_NS)
        return self._seats.tell_all(Away(participant=seat.participant.id), but=seat)

    def expel(self, participant: str, code: CloseCode, now: Now) -> list[Effect]:
        """The token that they came in by is good no longer: out, until they come with the new one."""
        seat = self._seats.of(participant)
        if seat is None:
            return []
        return self._leave(seat, code, now)

    def expire(self, now: Now) -> list[Effect]:
        """Free the seats that nobody came back to in time."""
        gone = [s for s in self._seats if s.away_until_ns is not None and s.away_until_ns <= now.monotonic_ns]
        vacated = [effect for seat in gone for effect in self._vacate(seat)]
        return vacated + self._call_changes(now) + self._recordings.statuses(now.utc)

    def end(self, code: CloseCode, now: Now) -> list[Effect]:
        """The room closes: everybody out, and nobody is told that the others left.

        For when it is only the server that goes, the pages keep their peer connections and the call goes on.
        """
        seats = list(self._seats)
        effects = [effect for seat in seats for effect in self._seats.disconnect(seat, code)]
        effects += [effect for seat in seats for effect in self._vacate(seat)]
        return effects + self._call_changes(now)

    # --- what pages say ----------------------------------------------------------------------------
    def received(self, connection: int, message: ClientMessage, now: Now) -> list[Effect]:
        """A page said something; nothing happens for a connection that has been replaced."""
        seat = self._seats.at(connection)
        if seat is None:
            return []
        match message:
            case Signal():
                return self._relay(seat, message)
            case SetMedia():
                seat.set_media(microphone=message.microphone, camera=message.camera)
                return self._seats.tell_all(Changed(member=seat.member()), but=seat)
            case SetScreen():
                return self._set_screen(seat, message.stream)
            case Say():
                return self._say(seat, message.text, now)
            case StartRecording():
                return self._recordings.start(seat) + self._recordings.statuses(now.utc)
            case StopRecording():
                return self._recordings.stop(seat)
            case AnswerConsent():
                return self._recordings.answered(seat, message.answer)
            case Leave():
                return self._leave(seat, CloseCode.LEFT, now)
            case Ping():
                return [Send(connection, Pong())]
            case _:
                assert_never(message)

    def heard(self, line: ChatLine) -> list[Effect]:
        """Somebody said this by the API."""
        self._history.add(line)
        return self._seats.tell_all(Said(line=line))

    def file_changed(self, file: SharedFile) -> list[Effect]:
        """A file of this conversation is as it is said here, now."""
        return self._files.changed(file)

    def services_changed(self) -> list[Effect]:
        """What needs the store was switched off, or on again."""
        return self._seats.tell_all(ServicesChanged())

    # --- what is decided ---------------------------------------------------------------------------
    def interaction_decided(
        self, began: CallBegan | ShareBegan, state: InteractionState, now: Now, reason: str | None = None
    ) -> list[Effect]:
        """What began is HELD, STARTED or ABORTED; nothing happens when it has ended since."""
        if isinstance(began, CallBegan):
            return self._call_decided(began, state, now, reason)
        seat = self._seats.of(began.participant)
        if seat is None or seat.screen is None or seat.shares - 1 != began.share or seat.share is state:
            return []
        seat.decide_share(state)
        changed = seat.share_changed(reason)
        if state is InteractionState.HELD:
            return self._seats.tell(seat, changed)
        return [*self._seats.tell(seat, changed), *self._seats.tell_all(changed, but=seat)]

    def _call_decided(
        self, began: CallBegan, state: InteractionState, now: Now, reason: str | None
    ) -> list[Effect]:
        if not self._call.decided(began, state, reason):
            return []
        effects = self._seats.tell_all(self._call.changed(reason))
        if state is InteractionState.ABORTED:
            return effects + self.end(CloseCode.ABORTED, now)
        return effects + self._recordings.statuses(now.utc)

    def consent_kept(self, participant: str, answer: ConsentAnswer) -> list[Effect]:
        """This answer counts from now on: who agreed is invited to recordings, who refused leaves them."""
        seat = self._seats.of(participant)
        return [] if seat is None else self._recordings.consent_kept(seat, answer)

    # --- what recordings do ------------------------------------------------------------------------
    def recording_changed(self, recording: Recording, now: Now) -> list[Effect]:
        """A recording of this conversation is as it is said here, now."""
        changed = self._recordings.changed(recording, now.utc) + self._recordings.statuses(now.utc)
        return changed + self._remembered(recording, now)

    def recording_started(self, recording: Recording, now: Now) -> list[Effect]:
        """The start that was wanted succeeded; the room may have heard of it already."""
        return self._recordings.started(recording, now.utc) + self._recordings.statuses(now.utc)

    def recording_refused(self, participant: str, code: str, detail: str, now: Now) -> list[Effect]:
        """A start or a stop did not work: whoever asked is told why, the others that nothing is coming."""
        refused = self._recordings.refused(self._seats.of(participant), code, detail)
        return refused + self._recordings.statuses(now.utc)

    def _remembered(self, recording: Recording, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        for line in self._history.add_recording(recording, now.utc):
            for seat in self._seats:
                if is_shown(line, seat.participant.role, self._policy):
                    effects += self._seats.tell(seat, Said(line=line))
        return effects

    # --- inside ------------------------------------------------------------------------------------
    def _welcome(
        self,
        seat: Seat,
        resumed: bool,
        ice_servers: list[IceServer],
        services: ConversationServices | None,
        now: Now,
    ) -> Welcome:
        return Welcome(
            you=seat.member(),
            roster=[other.member() for other in self._seats if other is not seat],
            resumed=resumed,
            ice_servers=ice_servers,
            ice_transport_policy=self._policy.ice_transport_policy,
            resume_timeout_s=RESUME_TIMEOUT_S,
            status=self._recordings.status(seat, now.utc),
            recordings=self._recordings.notices(seat, now.utc),
            publishing=self._recordings.publishable(),
            chat=self._history.shown_to(seat.participant.role, self._policy),
            call=self._call.state,
            consent=self._policy.consent,
            answer=seat.answer,
            services=services,
        )

    def _relay(self, seat: Seat, signal: Signal) -> list[Effect]:
        if not self._call.may_connect:
            return []  # a page that does not hold back is held back here
        addressee = self._seats.of(signal.to)
        if addressee is None or addressee is seat or addressee.instance != signal.instance:
            return []  # said to a page that is gone: the sender is being told so
        relayed = Signaled(
            sender=seat.participant.id,
            session=signal.session,
            description=signal.description,
            candidate=signal.candidate,
        )
        return self._seats.tell(addressee, relayed)

    def _set_screen(self, seat: Seat, stream: str | None) -> list[Effect]:
        before = seat.set_screen(stream)
        effects = self._seats.tell_all(Changed(member=seat.member()), but=seat)
        if before is None and stream is not None:
            effects.append(ShareBegan(seat.participant.id, seat.shares - 1))
        elif before is not None and stream is None:
            effects += self._share_ended(seat)
        return effects

    def _share_ended(self, seat: Seat) -> list[Effect]:
        was_known = seat.share is InteractionState.STARTED
        seat.decide_share(InteractionState.ENDED)
        changed = self._seats.tell_all(seat.share_changed(), but=seat) if was_known else []
        return [*changed, ShareEnded(seat.participant.id)]

    def _say(self, seat: Seat, text: str, now: Now) -> list[Effect]:
        line = ChatLine(sender=seat.participant.id, name=seat.participant.name, text=text, at=now.utc)
        self._history.add(line)
        return [*self._seats.tell_all(Said(line=line)), Spoken(seat.participant, text)]

    def _vacate(self, seat: Seat) -> list[Effect]:
        self._seats.remove(seat)
        effects = self._share_ended(seat) if seat.screen is not None else []
        return effects + self._seats.tell_all(Left(participant=seat.participant.id), but=seat)

    def _leave(self, seat: Seat, code: CloseCode, now: Now) -> list[Effect]:
        effects = self._seats.disconnect(seat, code) + self._vacate(seat)
        return effects + self._call_changes(now) + self._recordings.statuses(now.utc)

    def _call_changes(self, now: Now, but: Seat | None = None) -> list[Effect]:
        """`but` is not told: their welcome says it."""
        change = self._call.seated(self._policy.is_call(self._seats.roles()), now.utc)
        return [] if change is None else [*self._seats.tell_all(self._call.changed(), but=but), change]
