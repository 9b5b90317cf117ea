"""Any schedule of comings, goings, drops and recordings: what every client believes is what is."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recorder.kernel.conversation import Participant
from recorder.kernel.recording import RecordingState, StartsWith
from signaling.room.core.announcement import RoomPolicy, is_publishable
from signaling.room.core.effects import CallBegan, CallEnded, Close, Effect, Send, ShareBegan, ShareEnded
from signaling.room.core.limits import RESUME_TIMEOUT_S
from signaling.room.core.messages import (
    Away,
    Changed,
    InteractionState,
    Joined,
    Leave,
    Left,
    Publish,
    Returned,
    SetMedia,
    SetScreen,
    Signal,
    Signaled,
    Unpublish,
    Welcome,
)
from signaling.room.core.room import Room
from tests.signaling.test_room_core import at, participant, recording

PEOPLE = [participant(name) for name in ("ada", "blaise", "carl", "dora")]
INSTANCES = ("first page", "second page")
STATES = [
    RecordingState.REQUESTED,
    RecordingState.READY,
    RecordingState.RECORDING,
    RecordingState.PAUSED,
    RecordingState.FINALIZING,
    RecordingState.AVAILABLE,
    RecordingState.FAILED,
]


@dataclass
class Client:
    """What a page knows from the messages it got."""

    who: Participant
    instance: str
    connection: int
    roster: dict[str, Any] = field(default_factory=dict)
    publishing: set[str] = field(default_factory=set)
    signals: list[str] = field(default_factory=list)

    def take(self, message: Any) -> None:
        match message:
            case Welcome():
                self.roster = {member.id: member for member in message.roster}
            case Joined() | Returned() | Changed():
                self.roster[message.member.id] = message.member
            case Left():
                del self.roster[message.participant]
            case Away():
                assert message.participant in self.roster
            case Publish():
                assert message.recording not in self.publishing
                self.publishing.add(message.recording)
            case Unpublish():
                self.publishing.remove(message.recording)
            case Signaled():
                self.signals.append(message.sender)
            case _:
                pass


class Rooms(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.room = Room(RoomPolicy(starts_with=StartsWith.CALL))
        self.now = at(0)
        self.clients: dict[int, Client] = {}
        self.seats: dict[str, str] = {}  # participant -> instance
        self.away: dict[str, float] = {}  # participant -> seconds when they dropped
        self.connections = 0
        self.in_call = False
        self.may_signal = False
        self.call = CallBegan()
        self.shares: set[str] = set()
        self.recordings: dict[str, Any] = {}

    # --- the world around the room -------------------------------------------------------------
    def happen(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.clients[effect.connection].take(effect.message)  # KeyError: told after its end
                case Close():
                    del self.clients[effect.connection]
                case CallBegan():
                    assert not self.in_call
                    self.in_call, self.may_signal, self.call = True, False, effect
                case CallEnded():
                    assert self.in_call
                    self.in_call = self.may_signal = False
                case ShareBegan():
                    assert effect.participant not in self.shares
                    self.shares.add(effect.participant)
                case ShareEnded():
                    self.shares.remove(effect.participant)
                case _:
                    raise AssertionError(effect)

    def pick(self, data: st.DataObject) -> Client:
        return data.draw(st.sampled_from(list(self.clients.values())))

    @rule(who=st.sampled_from(PEOPLE), instance=st.sampled_from(INSTANCES))
    def enters(self, who: Participant, instance: str) -> None:
        self.connections += 1
        number = self.connections
        self.clients[number] = Client(who, instance, number)
        self.seats[who.id] = instance
        self.away.pop(who.id, None)
        self.happen(self.room.enter(number, who, instance, ice_servers=[], now=self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def drops(self, data: st.DataObject) -> None:
        client = self.pick(data)
        del self.clients[client.connection]
        self.away[client.who.id] = self.now.monotonic_ns / 1e9
        self.happen(self.room.lost(client.connection, self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        client = self.pick(data)
        del self.seats[client.who.id]
        self.happen(self.room.received(client.connection, Leave(), self.now))
        assert client.connection not in self.clients

    @rule(seconds=st.sampled_from([1, RESUME_TIMEOUT_S / 2, RESUME_TIMEOUT_S]))
    def time_passes(self, seconds: float) -> None:
        self.now = at(self.now.monotonic_ns / 1e9 + seconds)
        for who in [who for who, since in self.away.items() if at(since + RESUME_TIMEOUT_S) <= self.now]:
            del self.away[who]
            del self.seats[who]
        self.happen(self.room.expire(self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), microphone=st.booleans(), camera=st.booleans())
    def switches(self, data: st.DataObject, microphone: bool, camera: bool) -> None:
        message = SetMedia(microphone=microphone, camera=camera)
        self.happen(self.room.received(self.pick(data).connection, message, self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), stream=st.sampled_from([None, "one", "two"]))
    def shares_screen(self, data: st.DataObject, stream: str | None) -> None:
        client = self.pick(data)
        self.happen(self.room.received(client.connection, SetScreen(stream=stream), self.now))
        assert (client.who.id in self.shares) is (stream is not None)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), to=st.sampled_from(PEOPLE), instance=st.sampled_from(INSTANCES))
    def signals(self, data: st.DataObject, to: Participant, instance: str) -> None:
        sender = self.pick(data)
        before = {number: len(client.signals) for number, client in self.clients.items()}
        signal = Signal(to=to.id, instance=instance, session="s")
        self.happen(self.room.received(sender.connection, signal, self.now))
        for number, client in self.clients.items():
            may_signal = self.may_signal or not self.in_call
            is_addressee = client.who == to and client.instance == instance and client is not sender
            reached = may_signal and is_addressee
            assert client.signals[before[number] :] == ([sender.who.id] if reached else [])

    @precondition(lambda self: self.in_call)
    @rule(state=st.sampled_from([InteractionState.STARTED, InteractionState.HELD]))
    def the_call_is_decided(self, state: InteractionState) -> None:
        self.may_signal = state is InteractionState.STARTED
        self.happen(self.room.interaction_decided(self.call, state, self.now))

    @precondition(lambda self: self.in_call)
    @rule()
    def the_call_is_aborted(self) -> None:
        self.seats.clear()
        self.away.clear()
        self.happen(self.room.interaction_decided(self.call, InteractionState.ABORTED, self.now))
        assert not self.clients

    @rule(number=st.integers(1, 3), state=st.sampled_from(STATES))
    def recording_changes(self, number: int, state: RecordingState) -> None:
        changed = recording(number, state)
        self.recordings[changed.id] = changed
        self.happen(self.room.recording_changed(changed, self.now))

    # --- what always holds ---------------------------------------------------------------------
    @invariant()
    def everybody_knows_who_is_there(self) -> None:
        for client in self.clients.values():
            known = {member.id: member.instance for member in client.roster.values()}
            assert known == {who: page for who, page in self.seats.items() if who != client.who.id}

    @invariant()
    def everybody_publishes_to_exactly_what_takes_publishers(self) -> None:
        expected = {one.id for one in self.recordings.values() if is_publishable(one)}
        assert all(client.publishing == expected for client in self.clients.values())

    @invariant()
    def a_call_runs_while_two_have_a_seat(self) -> None:
        assert self.in_call is (len(self.seats) >= 2)
        assert self.room.is_empty is (not self.seats)
        assert self.shares <= set(self.seats)


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=120, stateful_step_count=30, deadline=None, derandomize=True)
