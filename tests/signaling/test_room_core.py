"""The room's core: who is in, and who is told what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recorder.kernel.conversation import InteractionKind, Participant, Role
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.recording import EntryPoint, Recording, RecordingState, RecordingType
from signaling.room.core.announcement import RoomPolicy
from signaling.room.core.effects import (
    CallBegan,
    CallEnded,
    Close,
    Effect,
    Now,
    RecordingUnwanted,
    RecordingWanted,
    Send,
    ShareBegan,
    ShareEnded,
)
from signaling.room.core.limits import (
    CHAT_MESSAGES_KEPT_MAX,
    PARTICIPANTS_PER_ROOM_MAX,
    RECORDINGS_SHOWN_MAX,
    RESUME_TIMEOUT_S,
)
from signaling.room.core.messages import (
    Away,
    Candidate,
    Changed,
    CloseCode,
    Error,
    InteractionChanged,
    InteractionState,
    Joined,
    Leave,
    Left,
    Ping,
    Pong,
    Publish,
    RecordingChanged,
    Returned,
    Said,
    Say,
    SetMedia,
    SetScreen,
    Signal,
    Signaled,
    StartRecording,
    StopRecording,
    Unpublish,
    Welcome,
)
from signaling.room.core.room import Room

UTC_ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> Now:
    return Now(round(seconds * 1e9), UTC_ZERO + timedelta(seconds=seconds))


NOW = at(0)


def participant(name: str, role: Role = Role.VISITOR) -> Participant:
    return Participant(id=name, conversation="conv", role=role, name=name.title())


ADA = participant("ada", Role.AGENT)
BLAISE = participant("blaise")
CARL = participant("carl")


def recording(number: int = 1, state: RecordingState = RecordingState.READY, **fields: Any) -> Recording:
    open_states = (RecordingState.READY, RecordingState.RECORDING, RecordingState.PAUSED)
    entry_point = EntryPoint(
        url=f"https://recorder.example/whip/secret{number}",
        token=f"token{number}",
        ice_servers=[IceServer(urls=["stun:stun.example"])],
        expires_at=UTC_ZERO + timedelta(hours=1),
    )
    return Recording(
        id=f"rec{number:03}",
        conversation="conv",
        state=state,
        type=fields.pop("type", RecordingType.AUDIO_VIDEO),
        entry_point=entry_point if state in open_states else None,
        requested_at=UTC_ZERO,
        **fields,
    )


class Scene:
    """A room, and what its clients were told."""

    def __init__(self, policy: RoomPolicy | None = None) -> None:
        self.room = Room(policy or RoomPolicy())

    def enter(
        self, connection: int, who: Participant, instance: str = "page", now: Now = NOW
    ) -> list[Effect]:
        return self.room.enter(connection, who, instance, ice_servers=[], now=now)


def told(effects: list[Effect], connection: int) -> list[Any]:
    return [e.message for e in effects if isinstance(e, Send) and e.connection == connection]


def others(effects: list[Effect]) -> list[Effect]:
    return [e for e in effects if not isinstance(e, Send)]


@pytest.fixture
def pair() -> Scene:
    """Ada, an agent, on connection 1, and Blaise, a visitor, on connection 2, in a call that may go on."""
    scene = Scene()
    scene.enter(1, ADA)
    scene.enter(2, BLAISE)
    scene.room.interaction_decided(CallBegan(), InteractionState.STARTED)
    return scene


def call_is(state: InteractionState, reason: str | None = None) -> InteractionChanged:
    return InteractionChanged(
        kind=InteractionKind.CALL, layer=None, participant=None, state=state, reason=reason
    )


class TestComingAndGoing:
    def test_the_first_is_welcomed_into_an_empty_room(self) -> None:
        effects = Scene().enter(1, ADA)
        (welcome,) = told(effects, 1)
        assert isinstance(welcome, Welcome)
        assert (welcome.you.id, welcome.roster, welcome.may_record, welcome.resumed) == (
            "ada",
            [],
            True,
            False,
        )
        assert others(effects) == []

    def test_the_second_begins_the_call_and_both_know_each_other(self) -> None:
        scene = Scene()
        scene.enter(1, ADA)
        effects = scene.enter(2, BLAISE)
        (welcome,) = told(effects, 2)
        held, joined = told(effects, 1)
        assert held == call_is(InteractionState.HELD)
        assert welcome.call is InteractionState.HELD
        assert [member.id for member in welcome.roster] == ["ada"]
        assert not welcome.may_record
        assert isinstance(joined, Joined) and joined.member.id == "blaise"
        assert others(effects) == [CallBegan()]

    def test_leaving_frees_the_seat_at_once_and_ends_the_call(self, pair: Scene) -> None:
        effects = pair.room.received(2, Leave(), NOW)
        assert told(effects, 1) == [Left(participant="blaise"), call_is(InteractionState.ENDED)]
        assert others(effects) == [Close(2, CloseCode.LEFT), CallEnded()]

    def test_a_dropped_socket_keeps_its_seat_until_the_time_is_up(self, pair: Scene) -> None:
        assert pair.room.lost(2, at(5)) == [Send(1, Away(participant="blaise"))]
        assert pair.room.deadline_ns() == at(5 + RESUME_TIMEOUT_S).monotonic_ns
        assert pair.room.expire(at(4.99 + RESUME_TIMEOUT_S)) == []
        assert pair.room.expire(at(5 + RESUME_TIMEOUT_S)) == [
            Send(1, Left(participant="blaise")),
            Send(1, call_is(InteractionState.ENDED)),
            CallEnded(),
        ]
        assert pair.room.deadline_ns() is None

    def test_the_same_page_takes_its_seat_again_without_ending_the_call(self, pair: Scene) -> None:
        pair.room.lost(2, NOW)
        effects = pair.enter(3, BLAISE, now=at(2))
        (welcome,) = told(effects, 3)
        (returned,) = told(effects, 1)
        assert welcome.resumed
        assert isinstance(returned, Returned) and not returned.member.away
        assert others(effects) == []
        assert pair.room.expire(at(1000)) == []

    def test_the_same_page_may_come_before_its_old_socket_was_missed(self, pair: Scene) -> None:
        effects = pair.enter(3, BLAISE)
        assert Close(2, CloseCode.REPLACED) in effects
        assert told(effects, 3)[0].resumed
        assert pair.room.lost(2, NOW) == []

    def test_another_page_replaces_the_first(self, pair: Scene) -> None:
        effects = pair.enter(3, BLAISE, instance="reloaded")
        assert [type(message) for message in told(effects, 1)] == [Left, Joined]
        assert others(effects) == [Close(2, CloseCode.REPLACED)]  # the call goes on
        assert pair.room.received(2, Say(text="ghost"), NOW) == []

    def test_the_room_takes_its_limit_and_no_more(self) -> None:
        scene = Scene()
        for number in range(PARTICIPANTS_PER_ROOM_MAX):
            assert isinstance(told(scene.enter(number, participant(f"p{number}")), number)[0], Welcome)
        effects = scene.enter(99, participant("late"))
        assert [message.code for message in told(effects, 99)] == ["room_full"]
        assert effects[-1] == Close(99, CloseCode.ROOM_FULL)
        assert isinstance(told(scene.enter(100, participant("p0")), 100)[0], Welcome)  # has a seat

    def test_closing_the_room_sends_everybody_away(self, pair: Scene) -> None:
        pair.room.received(1, SetScreen(stream="s"), NOW)
        effects = pair.room.end(CloseCode.ENDED)
        assert not told(effects, 1) and not told(effects, 2)
        assert {Close(1, CloseCode.ENDED), Close(2, CloseCode.ENDED)} <= set(others(effects))
        assert others(effects)[-1] == CallEnded()
        assert ShareEnded("ada") in effects
        assert pair.room.is_empty


class TestDecisions:
    @pytest.fixture
    def held(self) -> Scene:
        scene = Scene()
        scene.enter(1, ADA)
        scene.enter(2, BLAISE)
        return scene

    def test_nobody_can_connect_before_the_call_may_start(self, held: Scene) -> None:
        signal = Signal(to="blaise", instance="page", session="s")
        assert held.room.received(1, signal, NOW) == []
        assert held.room.interaction_decided(CallBegan(), InteractionState.HELD) == []
        assert held.room.received(1, signal, NOW) == []
        effects = held.room.interaction_decided(CallBegan(), InteractionState.STARTED)
        assert effects == [
            Send(1, call_is(InteractionState.STARTED)),
            Send(2, call_is(InteractionState.STARTED)),
        ]
        assert len(held.room.received(1, signal, NOW)) == 1
        assert told(held.enter(3, CARL), 3)[0].call is InteractionState.STARTED

    @pytest.mark.parametrize("started", [False, True])
    def test_an_aborted_call_empties_the_room_and_says_why(self, held: Scene, started: bool) -> None:
        if started:
            held.room.interaction_decided(CallBegan(), InteractionState.STARTED)
        effects = held.room.interaction_decided(CallBegan(), InteractionState.ABORTED, "store_unreachable")
        for connection in (1, 2):
            assert told(effects, connection) == [call_is(InteractionState.ABORTED, "store_unreachable")]
            assert Close(connection, CloseCode.ABORTED) in effects
        assert others(effects)[-1] == CallEnded()
        assert held.room.is_empty

    def test_what_was_decided_about_an_earlier_call_does_not_count(self, held: Scene) -> None:
        held.room.received(2, Leave(), NOW)
        effects = held.enter(3, BLAISE)
        assert others(effects) == [CallBegan(1)]
        assert held.room.interaction_decided(CallBegan(0), InteractionState.STARTED) == []
        assert held.room.received(1, Signal(to="blaise", instance="page", session="s"), NOW) == []

    def test_a_held_share_is_known_to_its_sharer_alone(self, pair: Scene) -> None:
        pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        let = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED)
        assert len(told(let, 1)) == 1
        assert pair.room.interaction_decided(ShareBegan("blaise", 1), InteractionState.ABORTED) == []
        aborted = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.ABORTED)
        assert told(aborted, 2)[0].state is InteractionState.ABORTED

    def test_a_sharer_who_returns_hears_again_whether_they_may(self, pair: Scene) -> None:
        pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        pair.room.lost(2, NOW)
        pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED)
        assert told(pair.enter(3, BLAISE), 3)[-1].state is InteractionState.STARTED


class TestRelaying:
    def test_a_signal_goes_to_its_addressee_alone_with_its_sender(self, pair: Scene) -> None:
        pair.enter(3, CARL)
        candidate = Candidate(candidate="candidate:1 1 udp 1 192.0.2.1 9 typ host")
        signal = Signal(to="blaise", instance="page", session="s", candidate=candidate)
        assert pair.room.received(1, signal, NOW) == [
            Send(2, Signaled(sender="ada", session="s", candidate=candidate))
        ]

    @pytest.mark.parametrize(("to", "instance"), [("nobody", "page"), ("blaise", "an earlier page")])
    def test_a_signal_for_a_page_that_is_gone_reaches_nobody(
        self, pair: Scene, to: str, instance: str
    ) -> None:
        assert pair.room.received(1, Signal(to=to, instance=instance, session="s"), NOW) == []

    def test_media_state_is_told_to_the_others_and_to_who_comes_later(self, pair: Scene) -> None:
        (told_now,) = told(pair.room.received(1, SetMedia(microphone=True, camera=False), NOW), 2)
        assert isinstance(told_now, Changed)
        later = told(pair.enter(3, CARL), 3)[0].roster[0]
        assert (
            (later.microphone, later.camera)
            == (True, False)
            == (
                told_now.member.microphone,
                told_now.member.camera,
            )
        )

    def test_a_screen_share_is_a_layer_with_a_beginning_and_an_end(self, pair: Scene) -> None:
        began = pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        assert [type(message) for message in told(began, 1)] == [Changed]
        assert others(began) == [ShareBegan("blaise")]
        let = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED)
        for connection in (1, 2):
            (started,) = told(let, connection)
            assert (started.participant, started.state) == ("blaise", InteractionState.STARTED)
        ended = pair.room.received(2, SetScreen(stream=None), NOW)
        assert [type(message) for message in told(ended, 1)] == [Changed, InteractionChanged]
        assert others(ended) == [ShareEnded("blaise")]
        assert others(pair.room.received(2, SetScreen(stream=None), NOW)) == []  # said again after a return

    def test_a_sharer_who_vanishes_ends_the_share(self, pair: Scene) -> None:
        pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        pair.room.lost(2, NOW)
        assert ShareEnded("blaise") in pair.room.expire(at(RESUME_TIMEOUT_S))

    def test_chat_reaches_everybody_and_the_latecomer_sees_the_newest(self, pair: Scene) -> None:
        effects = pair.room.received(2, Say(text="hello"), NOW)
        assert [type(e.message) for e in effects if isinstance(e, Send)] == [Said, Said]
        for number in range(CHAT_MESSAGES_KEPT_MAX):
            pair.room.received(1, Say(text=str(number)), NOW)
        shown = told(pair.enter(3, CARL), 3)[0].chat
        assert [line.text for line in shown] == [str(number) for number in range(CHAT_MESSAGES_KEPT_MAX)]

    def test_a_ping_is_answered(self, pair: Scene) -> None:
        assert pair.room.received(1, Ping(), NOW) == [Send(1, Pong())]


class TestRecording:
    def test_an_agent_starts_and_everybody_knows_that_it_was_asked_for(self, pair: Scene) -> None:
        effects = pair.room.received(1, StartRecording(), NOW)
        assert others(effects) == [RecordingWanted(ADA)]
        for connection in (1, 2):
            (message,) = told(effects, connection)
            assert (message.recording.state, message.recording.id) == (RecordingState.REQUESTED, None)

    @pytest.mark.parametrize("message", [StartRecording(), StopRecording()])
    def test_a_visitor_may_not(self, pair: Scene, message: StartRecording | StopRecording) -> None:
        assert [said.code for said in told(pair.room.received(2, message, NOW), 2)] == ["forbidden"]
        assert others(pair.room.received(2, message, NOW)) == []

    def test_nothing_is_started_twice(self, pair: Scene) -> None:
        pair.room.received(1, StartRecording(), NOW)
        assert told(pair.room.received(1, StartRecording(), NOW), 1)[0].code == "already_recording"
        pair.room.recording_changed(recording(), NOW)
        assert told(pair.room.received(1, StartRecording(), NOW), 1)[0].code == "already_recording"

    def test_a_refused_start_is_told_to_who_asked_and_may_be_tried_again(self, pair: Scene) -> None:
        pair.room.received(1, StartRecording(), NOW)
        effects = pair.room.recording_refused("ada", "overloaded", "No.")
        assert told(effects, 1)[-1] == Error(code="overloaded", detail="No.")
        assert [m.recording.state for m in told(effects, 2)] == [RecordingState.FAILED]
        assert others(pair.room.received(1, StartRecording(), NOW)) == [RecordingWanted(ADA)]

    def test_everybody_is_told_and_invited_once(self, pair: Scene) -> None:
        effects = pair.room.recording_changed(recording(), NOW)
        for connection, name in ((1, "ada"), (2, "blaise")):
            changed, publish = told(effects, connection)
            assert isinstance(changed, RecordingChanged)
            assert changed.recording.banner == "This call is being recorded"
            assert isinstance(publish, Publish)
            assert publish.url.startswith(f"/whip/secret1?participant={name}&name={name.title()}&role=")
            assert publish.token == "token1"
        again = pair.room.recording_changed(recording(state=RecordingState.RECORDING), NOW)
        assert [type(message) for message in told(again, 1)] == [RecordingChanged]

    def test_growth_alone_is_nothing_to_tell(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(state=RecordingState.RECORDING, bytes=1, duration_s=1.0), NOW)
        grown = recording(state=RecordingState.RECORDING, bytes=2, duration_s=3.0)
        assert grown.entry_point is not None
        renewed = msgspec.structs.replace(grown.entry_point, ice_servers=[IceServer(urls=["turn:new"])])
        grown = msgspec.structs.replace(grown, entry_point=renewed)
        assert pair.room.recording_changed(grown, NOW) == []
        assert told(pair.enter(3, CARL), 3)[1].ice_servers == renewed.ice_servers  # the newest are told

    def test_who_joins_or_returns_later_is_invited_too(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(), NOW)
        assert [type(message) for message in told(pair.enter(3, CARL), 3)] == [Welcome, Publish]
        pair.room.lost(3, NOW)
        assert [type(message) for message in told(pair.enter(4, CARL), 4)] == [Welcome, Publish]

    def test_the_end_of_a_recording_ends_publishing(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(), NOW)
        effects = pair.room.recording_changed(recording(state=RecordingState.FINALIZING), NOW)
        changed, unpublish = told(effects, 2)
        assert changed.recording.banner is None
        assert unpublish == Unpublish(recording="rec001", ended=True)
        assert [type(m) for m in told(pair.enter(3, CARL), 3)] == [Welcome]

    def test_nobody_is_told_the_entry_point_but_by_an_invitation(self, pair: Scene) -> None:
        effects = pair.room.recording_changed(recording(), NOW) + pair.enter(3, CARL)
        rest = [e.message for e in effects if isinstance(e, Send) and not isinstance(e.message, Publish)]
        assert rest
        assert "secret1" not in str(rest) and "token1" not in str(rest)

    def test_only_roles_that_may_play_get_links_and_only_when_they_are_true(self, pair: Scene) -> None:
        links = {"media": "/v1/recordings/rec001/media?signature=x"}
        for state, expected in (
            (RecordingState.FINALIZING, ({}, {})),
            (RecordingState.AVAILABLE, (links, {})),
        ):
            effects = pair.room.recording_changed(recording(state=state, links=links), NOW)
            assert (told(effects, 1)[0].recording.links, told(effects, 2)[0].recording.links) == expected

    def test_a_recordings_age_is_told_as_of_now(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(state=RecordingState.RECORDING, started_at=UTC_ZERO), at(3))
        assert told(pair.enter(3, CARL, now=at(30)), 3)[0].recordings[0].elapsed_s == 30

    def test_stopping_stops_what_runs(self, pair: Scene) -> None:
        assert told(pair.room.received(1, StopRecording(), NOW), 1)[0].code == "not_recording"
        pair.room.recording_changed(recording(), NOW)
        assert pair.room.received(1, StopRecording(), NOW) == [RecordingUnwanted("rec001", ADA)]

    def test_old_recordings_are_forgotten_and_running_ones_never(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(0, RecordingState.RECORDING), NOW)
        for number in range(1, RECORDINGS_SHOWN_MAX + 10):
            pair.room.recording_changed(recording(number, RecordingState.AVAILABLE), NOW)
        shown = [one.id for one in told(pair.enter(3, CARL), 3)[0].recordings]
        assert len(shown) == RECORDINGS_SHOWN_MAX
        assert (shown[0], shown[-1]) == ("rec000", f"rec{RECORDINGS_SHOWN_MAX + 9:03}")

    def test_the_policy_is_what_is_announced(self) -> None:
        relayed = RoomPolicy(banner=None, ice_transport_policy=IceTransportPolicy.RELAYED)
        scene = Scene(relayed)
        scene.enter(1, ADA)
        changed, publish = told(scene.room.recording_changed(recording(type=RecordingType.AUDIO), NOW), 1)
        assert changed.recording.banner is None
        assert (publish.ice_transport_policy, publish.video) == (IceTransportPolicy.RELAYED, False)

    def test_a_paused_recording_says_so_and_keeps_its_publishers(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(), NOW)
        effects = pair.room.recording_changed(recording(state=RecordingState.PAUSED), NOW)
        (changed,) = told(effects, 1)
        assert changed.recording.banner == "The recording is paused"

    def test_a_start_that_the_watch_has_told_already_is_not_told_twice(self, pair: Scene) -> None:
        started = recording()
        pair.room.received(1, StartRecording(), NOW)
        assert pair.room.recording_changed(started, NOW)
        assert pair.room.recording_started(started, NOW) == []


def test_messages_have_no_room_for_what_is_unknown() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"say","text":"a","html":true}', type=Say)
