"""The room's core: who is in, and who is told what."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recorder.kernel.conversation import InteractionKind, Participant, Role
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import (
    EndReason,
    EntryPoint,
    Recording,
    RecordingState,
    RecordingType,
    StartsWith,
)
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
    ChatLine,
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
    RecordingAction,
    RecordingChanged,
    RecordingStatus,
    Returned,
    Said,
    Say,
    SetMedia,
    SetScreen,
    Signal,
    Signaled,
    StartRecording,
    StatusChanged,
    StatusKind,
    StopRecording,
    Unpublish,
    Welcome,
)
from signaling.room.core.room import Room
from signaling.room.core.status import INTERRUPTED_TEXT, STARTING_TEXT, WAITING_TEXT

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
        self.room = Room(policy or RoomPolicy(starts_with=StartsWith.CALL))

    def enter(
        self, connection: int, who: Participant, instance: str = "page", now: Now = NOW
    ) -> list[Effect]:
        return self.room.enter(connection, who, instance, ice_servers=[], now=now)


def told(effects: list[Effect], connection: int) -> list[Any]:
    return [e.message for e in effects if isinstance(e, Send) and e.connection == connection]


def of_type(effects: list[Effect], connection: int, kind: type[Any]) -> list[Any]:
    return [message for message in told(effects, connection) if isinstance(message, kind)]


def others(effects: list[Effect]) -> list[Effect]:
    return [e for e in effects if not isinstance(e, Send)]


@pytest.fixture
def pair() -> Scene:
    """Ada, an agent, on connection 1, and Blaise, a visitor, on connection 2, in a call that may go on."""
    scene = Scene()
    scene.enter(1, ADA)
    scene.enter(2, BLAISE)
    scene.room.interaction_decided(CallBegan(), InteractionState.STARTED, NOW)
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
        assert (welcome.you.id, welcome.roster, welcome.resumed) == ("ada", [], False)
        assert welcome.status == RecordingStatus(action=RecordingAction.START)
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
        assert welcome.status == RecordingStatus()
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
        effects = pair.room.end(CloseCode.ENDED, NOW)
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
        assert held.room.interaction_decided(CallBegan(), InteractionState.HELD, NOW) == []
        assert held.room.received(1, signal, NOW) == []
        effects = held.room.interaction_decided(CallBegan(), InteractionState.STARTED, NOW)
        assert effects == [
            Send(1, call_is(InteractionState.STARTED)),
            Send(2, call_is(InteractionState.STARTED)),
        ]
        assert len(held.room.received(1, signal, NOW)) == 1
        assert told(held.enter(3, CARL), 3)[0].call is InteractionState.STARTED

    @pytest.mark.parametrize("started", [False, True])
    def test_an_aborted_call_empties_the_room_and_says_why(self, held: Scene, started: bool) -> None:
        if started:
            held.room.interaction_decided(CallBegan(), InteractionState.STARTED, NOW)
        effects = held.room.interaction_decided(
            CallBegan(), InteractionState.ABORTED, NOW, "store_unreachable"
        )
        for connection in (1, 2):
            assert told(effects, connection) == [call_is(InteractionState.ABORTED, "store_unreachable")]
            assert Close(connection, CloseCode.ABORTED) in effects
        assert others(effects)[-1] == CallEnded()
        assert held.room.is_empty

    def test_what_was_decided_about_an_earlier_call_does_not_count(self, held: Scene) -> None:
        held.room.received(2, Leave(), NOW)
        effects = held.enter(3, BLAISE)
        assert others(effects) == [CallBegan(1)]
        assert held.room.interaction_decided(CallBegan(0), InteractionState.STARTED, NOW) == []
        assert held.room.received(1, Signal(to="blaise", instance="page", session="s"), NOW) == []

    def test_a_held_share_is_known_to_its_sharer_alone(self, pair: Scene) -> None:
        pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        let = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED, NOW)
        assert len(told(let, 1)) == 1
        assert pair.room.interaction_decided(ShareBegan("blaise", 1), InteractionState.ABORTED, NOW) == []
        aborted = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.ABORTED, NOW)
        assert told(aborted, 2)[0].state is InteractionState.ABORTED

    def test_a_sharer_who_returns_hears_again_whether_they_may(self, pair: Scene) -> None:
        pair.room.received(2, SetScreen(stream="stream-id"), NOW)
        pair.room.lost(2, NOW)
        pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED, NOW)
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
        let = pair.room.interaction_decided(ShareBegan("blaise"), InteractionState.STARTED, NOW)
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
            assert (message.status.kind, message.status.text) == (StatusKind.STARTING, STARTING_TEXT)

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
        effects = pair.room.recording_refused("ada", "overloaded", "No.", NOW)
        error = Error(
            code="overloaded",
            detail="The recording could not be started: the recorder has no room for another recording.",
        )
        assert error in told(effects, 1)
        assert [message.status.kind for message in told(effects, 2)] == [StatusKind.NONE]
        assert others(pair.room.received(1, StartRecording(), NOW)) == [RecordingWanted(ADA)]

    def test_a_refusal_without_a_word_for_it_keeps_its_own(self, pair: Scene) -> None:
        pair.room.received(1, StartRecording(), NOW)
        effects = pair.room.recording_refused("ada", "forbidden", "Your role may not.", NOW)
        assert Error(code="forbidden", detail="Your role may not.") in told(effects, 1)

    def test_everybody_is_invited_once(self, pair: Scene) -> None:
        effects = pair.room.recording_changed(recording(), NOW)
        for connection, name in ((1, "ada"), (2, "blaise")):
            (publish,) = [message for message in told(effects, connection) if isinstance(message, Publish)]
            assert publish.url.startswith(f"/whip/secret1?participant={name}&name={name.title()}&role=")
            assert publish.token == "token1"
        again = pair.room.recording_changed(recording(state=RecordingState.RECORDING), NOW)
        assert [type(message) for message in told(again, 1)] == [RecordingChanged, StatusChanged]

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
        unpublish, changed = told(effects, 2)
        assert unpublish == Unpublish(recording="rec001", ended=True)
        assert changed.status == RecordingStatus()
        (welcome,) = told(pair.enter(3, CARL), 3)
        assert welcome.publishing == []

    def test_nobody_is_told_the_entry_point_but_by_an_invitation(self, pair: Scene) -> None:
        effects = pair.room.recording_changed(recording(), NOW) + pair.enter(3, CARL)
        rest = [e.message for e in effects if isinstance(e, Send) and not isinstance(e.message, Publish)]
        assert rest
        assert "secret1" not in str(rest) and "token1" not in str(rest)

    def test_only_roles_that_may_play_get_links_and_only_when_they_are_true(self) -> None:
        scene = Scene(RoomPolicy(may_play=frozenset({Role.SUPERVISOR}), starts_with=StartsWith.CALL))
        for number, who in enumerate((ADA, participant("grace", Role.SUPERVISOR), BLAISE)):
            scene.enter(number, who)
        links = {"media": "/v1/recordings/rec001/media?signature=x"}
        for state, expected in ((RecordingState.FINALIZING, {}), (RecordingState.AVAILABLE, links)):
            effects = scene.room.recording_changed(recording(state=state, links=links), NOW)
            notices = [of_type(effects, number, RecordingChanged) for number in range(3)]
            assert notices[0] == []  # who may only record is told of its end, and not what became of it
            assert [message.recording.links for message in notices[1]] == [expected]
            assert notices[2] == []

    def test_a_recordings_age_is_told_as_of_now(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(state=RecordingState.RECORDING, started_at=UTC_ZERO), at(3))
        assert told(pair.enter(3, CARL, now=at(30)), 3)[0].status.elapsed_s == 30

    def test_stopping_stops_what_runs(self, pair: Scene) -> None:
        assert told(pair.room.received(1, StopRecording(), NOW), 1)[0].code == "not_recording"
        pair.room.recording_changed(recording(), NOW)
        assert pair.room.received(1, StopRecording(), NOW) == [RecordingUnwanted("rec001", ADA)]

    def test_old_recordings_are_forgotten_and_running_ones_never(self, pair: Scene) -> None:
        pair.room.recording_changed(recording(0, RecordingState.RECORDING), NOW)
        for number in range(1, RECORDINGS_SHOWN_MAX + 10):
            pair.room.recording_changed(recording(number, RecordingState.AVAILABLE), NOW)
        late = participant("edith", Role.AGENT)
        shown = [each.id for each in told(pair.enter(3, late), 3)[0].recordings]
        assert len(shown) == RECORDINGS_SHOWN_MAX
        assert (shown[0], shown[-1]) == ("rec000", f"rec{RECORDINGS_SHOWN_MAX + 9:03}")

    def test_the_policy_is_what_is_announced(self) -> None:
        scene = Scene(RoomPolicy(ice_transport_policy=IceTransportPolicy.RELAYED))
        scene.enter(1, ADA)
        _, publish, _ = told(scene.room.recording_changed(recording(type=RecordingType.AUDIO), NOW), 1)
        assert (publish.ice_transport_policy, publish.video) == (IceTransportPolicy.RELAYED, False)

    def test_a_start_that_the_watch_has_told_already_is_not_told_twice(self, pair: Scene) -> None:
        started = recording()
        pair.room.received(1, StartRecording(), NOW)
        assert pair.room.recording_changed(started, NOW)
        assert pair.room.recording_started(started, NOW) == []


class TestStatus:
    """What is announced is true when it is announced, and as long as it stands."""

    numbers = itertools.count()

    def shown(self, scene: Scene, who: Participant, now: Now = NOW) -> RecordingStatus:
        """What somebody who comes in now is told."""
        number = 100 + next(self.numbers)
        status: RecordingStatus = told(scene.enter(number, who, now=now), number)[0].status
        return status

    def kinds(self, scene: Scene, *changes: Recording, role: Role = Role.VISITOR) -> list[StatusKind]:
        who, kinds = participant("someone", role), []
        for change in changes:
            scene.room.recording_changed(change, NOW)
            kinds.append(self.shown(scene, who).kind)
        return kinds

    def test_recorded_is_said_only_while_media_is_received(self, pair: Scene) -> None:
        changes = [
            recording(state=RecordingState.REQUESTED),
            recording(state=RecordingState.READY),
            recording(state=RecordingState.RECORDING),
            recording(state=RecordingState.RECORDING, receiving=False),
            recording(state=RecordingState.PAUSED),
            recording(state=RecordingState.FINALIZING, end_reason=EndReason.NORMAL),
        ]
        assert self.kinds(pair, *changes) == [
            "STARTING",
            "STARTING",
            "RECORDING",
            "WAITING",
            "PAUSED",
            "NONE",
        ]
        texts = [STARTING_TEXT, STARTING_TEXT, "This call is being recorded", WAITING_TEXT]
        again = [recording(2, each.state, receiving=each.receiving) for each in changes[:4]]
        for change, text in zip(again, texts, strict=True):
            pair.room.recording_changed(change, NOW)
            assert self.shown(pair, CARL).text == text

    def test_an_interruption_is_said_until_there_is_media_again(self, pair: Scene) -> None:
        broken = recording(
            state=RecordingState.FAILED,
            started_at=UTC_ZERO,
            end_reason=EndReason.ABORT_UNEXPECTED,
            failure="worker_died",
        )
        changes = [broken, recording(2), recording(2, RecordingState.RECORDING)]
        assert self.kinds(pair, *changes) == ["INTERRUPTED", "INTERRUPTED", "RECORDING"]

    def test_what_was_saved_incomplete_is_an_interruption_too(self, pair: Scene) -> None:
        cut = recording(
            state=RecordingState.AVAILABLE, end_reason=EndReason.ABORT_UNEXPECTED, failure="worker_died"
        )
        assert self.kinds(pair, cut, role=Role.AGENT) == ["INTERRUPTED"]

    def test_the_agent_is_told_why_in_words_and_stays_told(self, pair: Scene) -> None:
        dead = recording(
            state=RecordingState.FAILED,
            end_reason=EndReason.ABORT_BLOBSTORE_FAILURE,
            failure="store_unreachable",
        )
        effects = pair.room.recording_changed(dead, NOW)
        text = "This call is not being recorded: the storage cannot be reached."
        assert [message.status.text for message in of_type(effects, 1, StatusChanged)] == [text]
        assert told(effects, 2) == []  # nothing had been announced to the visitor
        assert self.shown(pair, participant("late", Role.AGENT), at(600)).text == text
        effects = pair.room.recording_changed(recording(2, RecordingState.LAUNCHING), NOW)
        assert told(effects, 1)[-1].status.text == f"{text} It is being tried again."

    def test_visitors_never_see_a_code_nor_a_reason(self, pair: Scene) -> None:
        broken = recording(state=RecordingState.FAILED, started_at=UTC_ZERO, failure="worker_died")
        effects = pair.room.recording_changed(broken, NOW)
        assert [message.status.text for message in of_type(effects, 2, StatusChanged)] == [INTERRUPTED_TEXT]
        assert "worker_died" not in str(effects)

    def test_a_call_that_was_let_go_on_without_any_recording_says_so(self, pair: Scene) -> None:
        scene = Scene()
        scene.enter(1, ADA)
        scene.enter(2, BLAISE)
        effects = scene.room.interaction_decided(CallBegan(), InteractionState.STARTED, NOW, "not_recorded")
        assert told(effects, 1)[-1].status.kind is StatusKind.INTERRUPTED

    @pytest.mark.parametrize(
        ("reason", "failure"),
        [
            (EndReason.NORMAL, "stopped_before_start"),
            (EndReason.NORMAL, "no_media"),
            (EndReason.ABORT_SYSTEM, "no_media"),
            (EndReason.ABORT_TIMEOUT, None),
        ],
    )
    def test_what_was_meant_is_no_interruption(
        self, pair: Scene, reason: EndReason, failure: str | None
    ) -> None:
        over = recording(state=RecordingState.FAILED, end_reason=reason, failure=failure)
        assert self.kinds(pair, over, role=Role.AGENT) == ["NONE"]

    def test_a_failure_of_an_earlier_call_says_nothing_of_this_one(self, pair: Scene) -> None:
        broken = recording(state=RecordingState.FAILED, failure="worker_died", started_at=UTC_ZERO)
        pair.room.recording_changed(broken, NOW)
        pair.room.received(2, Leave(), NOW)
        assert self.shown(pair, ADA, at(10)).kind is StatusKind.NONE
        pair.enter(5, BLAISE, now=at(20))
        assert self.shown(pair, ADA, at(20)).kind is StatusKind.NONE

    def test_without_a_banner_visitors_are_told_nothing_and_agents_go_on_being(self) -> None:
        scene = Scene(RoomPolicy(banner=None, banner_paused=None))
        scene.enter(1, ADA)
        scene.enter(2, BLAISE)
        effects = scene.room.recording_changed(recording(state=RecordingState.RECORDING), NOW)
        assert [type(message) for message in told(effects, 2)] == [Publish]
        (status,) = [message.status for message in told(effects, 1) if isinstance(message, StatusChanged)]
        assert (status.kind, status.text) == (StatusKind.RECORDING, None)
        assert self.shown(scene, CARL) == RecordingStatus()

    def test_what_the_button_does(self, pair: Scene) -> None:
        def action(change: Recording) -> RecordingAction | None:
            pair.room.recording_changed(change, NOW)
            assert self.shown(pair, CARL).action is None
            return self.shown(pair, ADA).action

        states = [RecordingState.LAUNCHING, RecordingState.READY, RecordingState.FINALIZING]
        assert [action(recording(state=state)) for state in states] == ["WAIT", "STOP", "START"]

    @pytest.mark.parametrize("may", [frozenset[Role](), frozenset({Role.AGENT})])
    def test_stopping_what_started_by_itself_is_offered_to_who_may(self, may: frozenset[Role]) -> None:
        scene = Scene(RoomPolicy(may_stop_automatic=may))
        scene.enter(1, ADA)
        scene.room.recording_changed(recording(automatic=True), NOW)
        (effect,) = scene.room.received(1, StopRecording(), NOW)
        if may:
            assert effect == RecordingUnwanted("rec001", ADA)
        else:
            assert [message.code for message in told([effect], 1)] == ["forbidden"]
        assert self.shown(scene, ADA).action == ("STOP" if may else None)

    def test_who_may_record_and_not_see_is_told_of_the_end_alone(self) -> None:
        scene = Scene(RoomPolicy(may_play=frozenset({Role.VISITOR})))
        scene.enter(1, ADA)
        scene.enter(2, BLAISE)
        running = recording(state=RecordingState.RECORDING, started_at=UTC_ZERO)
        scene.room.recording_changed(running, NOW)
        ended = msgspec.structs.replace(running, state=RecordingState.AVAILABLE, ended_at=UTC_ZERO)
        effects = scene.room.recording_changed(ended, NOW)
        assert of_type(effects, 2, RecordingChanged)
        assert not of_type(effects, 1, RecordingChanged)
        said = [message.line.kind for message in of_type(effects, 1, Said)]
        assert said == [MessageKind.RECORDING_ENDED]
        assert self.shown(scene, ADA).action == "START"


class TestHistory:
    """What was said and recorded, for who comes later or comes back."""

    def kinds(self, scene: Scene, who: Participant) -> list[MessageKind]:
        return [line.kind for line in told(scene.enter(99, who), 99)[0].chat]

    def test_a_recordings_lines_stand_where_it_began_and_ended(self, pair: Scene) -> None:
        running = recording(state=RecordingState.RECORDING, started_at=UTC_ZERO)
        pair.room.recording_changed(running, at(1))
        pair.room.received(2, Say(text="hello"), at(2))
        ended = msgspec.structs.replace(running, state=RecordingState.FINALIZING, ended_at=UTC_ZERO)
        for state in (RecordingState.FINALIZING, RecordingState.AVAILABLE):
            pair.room.recording_changed(msgspec.structs.replace(ended, state=state), at(3))
        kinds = ["RECORDING_STARTED", "CHAT", "RECORDING_ENDED"]
        assert self.kinds(pair, CARL) == kinds
        assert self.kinds(pair, participant("late", Role.AGENT)) == [*kinds, "RECORDING_AVAILABLE"]

    def test_what_is_kept_is_there_and_not_told_again(self) -> None:
        kept = [
            ChatLine(sender="", name="", text="", at=UTC_ZERO, kind=kind, recording="rec001")
            for kind in (MessageKind.RECORDING_STARTED, MessageKind.RECORDING_ENDED)
        ]
        room = Room(RoomPolicy(), history=kept)
        (welcome,) = of_type(room.enter(1, ADA, "page", ice_servers=[], now=NOW), 1, Welcome)
        assert welcome.chat == kept
        over = recording(state=RecordingState.AVAILABLE, started_at=UTC_ZERO, ended_at=UTC_ZERO)
        said = of_type(room.recording_changed(over, NOW), 1, Said)
        assert [message.line.kind for message in said] == ["RECORDING_AVAILABLE"]

    def test_attempts_that_fail_in_a_row_are_one_line_and_one_entry(self, pair: Scene) -> None:
        for number in range(1, 4):
            pair.room.recording_changed(recording(number, RecordingState.FAILED, failure="no_media"), NOW)
        (welcome,) = of_type(pair.enter(99, participant("late", Role.AGENT)), 99, Welcome)
        assert [line.kind for line in welcome.chat] == ["RECORDING_FAILED"]
        assert [notice.id for notice in welcome.recordings] == ["rec003"]


class TestWhoseCallItIs:
    """With `starts_with` agent the call is the agent's, also alone; visitors among themselves have none."""

    @pytest.fixture
    def scene(self) -> Scene:
        return Scene(RoomPolicy(starts_with=StartsWith.AGENT))

    @pytest.mark.parametrize("role", [Role.AGENT, Role.SECONDARY_AGENT])
    def test_an_agent_alone_begins_it(self, scene: Scene, role: Role) -> None:
        assert others(scene.enter(1, participant("ada", role))) == [CallBegan()]
        assert others(scene.enter(2, BLAISE)) == []

    def test_visitors_talk_without_one_until_the_agent_comes(self, scene: Scene) -> None:
        assert others(scene.enter(1, BLAISE) + scene.enter(2, CARL)) == []
        signal = Signal(to="carl", instance="page", session="s")
        assert len(scene.room.received(1, signal, NOW)) == 1
        assert others(scene.enter(3, ADA)) == [CallBegan()]
        assert scene.room.received(1, signal, NOW) == []  # held, as everybody is

    def test_it_ends_when_the_agent_leaves(self, scene: Scene) -> None:
        for number, who in enumerate((ADA, BLAISE, CARL)):
            scene.enter(number, who)
        assert CallEnded() in scene.room.received(0, Leave(), NOW)
        assert len(scene.room.received(1, Signal(to="carl", instance="page", session="s"), NOW)) == 1


def test_messages_have_no_room_for_what_is_unknown() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"say","text":"a","html":true}', type=Say)
