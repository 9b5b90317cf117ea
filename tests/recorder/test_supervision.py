"""Failover and the end rule: the truth table of the document, sentence by sentence, and what always holds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recorder.database import RecordingRow
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason, FailoverMode, RecordingState, RecordingType, StartMode
from recorder.supervision import events as supervision_events
from recorder.supervision.events import (
    AbortInteraction,
    AskedByHand,
    Began,
    Closed,
    Effect,
    Ended,
    Event,
    FailoverPolicy,
    HoldInteraction,
    MediaBegan,
    Over,
    Overdue,
    Ready,
    Reason,
    ReleaseInteraction,
    StartRecording,
    StopRecording,
    SupervisedInteraction,
)
from recorder.supervision.state_machine import TABLE, Stage, Supervision, restored, step
from recorder.supervision.translation import decisions_of, why_over

SYNC, ASYNC = StartMode.SYNCHRONOUS, StartMode.ASYNCHRONOUS
RETRY, ABORT = FailoverMode.RETRY, FailoverMode.ABORT
LIMIT_S, DELAY_S_MAX, RENEW_S = 43.0, 60.0, 3570.0
EVERY = pytest.mark.parametrize(("start", "failover"), [(s, f) for s in StartMode for f in FailoverMode])


def rules(start: StartMode = SYNC, failover: FailoverMode = RETRY) -> FailoverPolicy:
    return FailoverPolicy(
        start_mode=start,
        failover_mode=failover,
        retry_delay_s_max=DELAY_S_MAX,
        start_limit_s=LIMIT_S,
        renew_after_s=RENEW_S,
    )


@dataclass
class Story:
    """Events one after the other, and all effects of them."""

    terms: FailoverPolicy = field(default_factory=rules)
    at: Supervision = field(default_factory=Supervision)
    now: float = 0.0
    recordings: int = 0
    effects: list[Effect] = field(default_factory=list)

    def happens(self, event: Event) -> tuple[Effect, ...]:
        fresh, before = f"rec{self.recordings + 1}", self.at
        self.at, effects = step(before, event, self.now, fresh)
        row = TABLE.get((before.stage, type(event)))
        assert self.at == before or (row is not None and self.at.stage in row.to)
        self.recordings += any(isinstance(effect, StartRecording) for effect in effects)
        self.effects += effects
        return effects

    def begins(self, name: str, *, triggers: bool = True, covered: bool = True) -> tuple[Effect, ...]:
        interaction = SupervisedInteraction(id=name, triggers=triggers, covered=covered)
        return self.happens(Began(interaction=interaction, rules=self.terms))

    def ends(self, name: str) -> tuple[Effect, ...]:
        return self.happens(Ended(interaction=name))

    def ready(self) -> tuple[Effect, ...]:
        return self.happens(Ready(recording=self.at.recording or "none"))

    def media(self) -> tuple[Effect, ...]:
        return self.happens(MediaBegan(recording=self.at.recording or "none"))

    def records(self) -> None:
        """The recording has become READY, and got media."""
        self.ready()
        self.media()

    def over(self, why: Reason, failure: str | None = None) -> tuple[Effect, ...]:
        return self.happens(Over(recording=self.at.recording or "none", why=why, failure=failure))

    def waits_out(self) -> tuple[Effect, ...]:
        assert self.at.deadline is not None
        self.now = max(self.now, self.at.deadline)
        return self.happens(Overdue())


def released(name: str, *, recorded: bool) -> ReleaseInteraction:
    return ReleaseInteraction(interaction=name, recorded=recorded)


def aborted(why: Reason) -> AbortInteraction:
    return AbortInteraction(interaction="call", why=why)


class TestStarting:
    def test_synchronous_holds_until_ready(self) -> None:
        story = Story()
        assert story.begins("call") == (
            HoldInteraction(interaction="call"),
            StartRecording(recording="rec1"),
        )
        assert story.ready() == (released("call", recorded=True),)
        assert (story.at.stage, story.at.deadline) == (Stage.READY, None)

    def test_asynchronous_lets_it_start(self) -> None:
        story = Story(rules(ASYNC))
        assert story.begins("call") == (StartRecording(recording="rec1"),)
        assert story.ready() == ()

    def test_what_triggers_nothing_is_never_held(self) -> None:
        story = Story()
        assert story.begins("share", triggers=False) == ()
        assert story.at.stage is Stage.IDLE

    def test_a_second_one_waits_for_the_same_recording(self) -> None:
        story = Story()
        story.begins("call")
        assert story.begins("layer") == (HoldInteraction(interaction="layer"),)
        assert story.ready() == (released("call", recorded=True), released("layer", recorded=True))
        assert story.begins("third") == ()

    @EVERY
    def test_by_hand_is_always_asynchronous(self, start: StartMode, failover: FailoverMode) -> None:
        story = Story(rules(start, failover))
        story.begins("call", triggers=False)
        assert story.happens(AskedByHand(rules=story.terms)) == (StartRecording(recording="rec1"),)
        assert story.over(Reason.NOT_STARTED) == ()  # failover is for those that start by themselves
        assert story.at.stage is Stage.IDLE

    def test_by_hand_beside_another_is_refused(self) -> None:
        story = Story()
        story.begins("call")
        with pytest.raises(BystanderError, match="recording_in_progress"):
            story.happens(AskedByHand(rules=rules()))


class TestEndRule:
    @pytest.mark.parametrize("call_triggers", [True, False])
    def test_the_documents_example(self, call_triggers: bool) -> None:
        """Begun by embedded co-browsing; a call comes; the co-browsing stops."""
        story = Story()
        story.begins("embedded")
        story.ready()
        story.begins("call", triggers=call_triggers)
        assert story.ends("embedded") == (() if call_triggers else (StopRecording(recording="rec1"),))
        assert story.at.stage is (Stage.READY if call_triggers else Stage.IDLE)

    def test_two_separate_ones_are_two_recordings(self) -> None:
        story = Story()
        for number, name in ((1, "embedded"), (2, "call")):
            story.begins(name)
            story.ready()
            assert story.ends(name) == (StopRecording(recording=f"rec{number}"),)
        assert story.recordings == 2

    def test_by_hand_goes_on_until_everything_has_ended(self) -> None:
        story = Story()
        for name in ("call", "share"):
            story.begins(name, triggers=False)
        story.happens(AskedByHand(rules=rules()))
        story.ready()
        assert story.ends("call") == ()
        assert story.ends("share") == (StopRecording(recording="rec1"),)

    def test_an_end_that_nobody_knows_ends_nothing(self) -> None:
        story = Story()
        story.happens(AskedByHand(rules=rules()))
        story.ready()
        assert story.ends("stranger") == ()

    def test_stopped_by_hand_stays_stopped_for_what_runs(self) -> None:
        story = Story()
        story.begins("call")
        story.ready()
        assert story.over(Reason.STOPPED) == ()
        assert story.at.stage is Stage.IDLE
        assert StartRecording(recording="rec2") in story.begins("next")

    def test_what_is_held_and_ends_takes_the_start_with_it(self) -> None:
        story = Story()
        story.begins("call")
        assert story.ends("call") == (StopRecording(recording="rec1"),)
        assert story.at.is_over

    def test_the_end_of_the_conversation_ends_all(self) -> None:
        story = Story()
        story.begins("call")
        assert story.happens(Closed()) == (StopRecording(recording="rec1"),)
        assert story.at.is_over


class TestFailover:
    """The section 'failover', row by row: when, start mode, failover mode, what follows."""

    @pytest.mark.parametrize(
        ("start", "failover", "why", "effects", "stage"),
        [
            # "it launches the interaction while still trying to start the recording"
            (SYNC, RETRY, Reason.NOT_STARTED, (released("call", recorded=False),), Stage.BACKING_OFF),
            # "immediately launches the interaction ... It keeps trying"
            (ASYNC, RETRY, Reason.NOT_STARTED, (), Stage.BACKING_OFF),
            # "If ... the object store was unreachable, [it] won't make any further attempts"
            (SYNC, RETRY, Reason.NO_STORE, (released("call", recorded=False),), Stage.IDLE),
            (ASYNC, RETRY, Reason.NO_STORE, (), Stage.IDLE),
            # "terminates the interaction ... regardless of [start mode]"
            (SYNC, ABORT, Reason.NOT_STARTED, (aborted(Reason.NOT_STARTED),), Stage.IDLE),
            (ASYNC, ABORT, Reason.NOT_STARTED, (aborted(Reason.NOT_STARTED),), Stage.IDLE),
            # "This also applies if ... the object store was unreachable"
            (SYNC, ABORT, Reason.NO_STORE, (aborted(Reason.NO_STORE),), Stage.IDLE),
            (ASYNC, ABORT, Reason.NO_STORE, (aborted(Reason.NO_STORE),), Stage.IDLE),
        ],
    )
    def test_at_the_start(
        self, start: StartMode, failover: FailoverMode, why: Reason, effects: tuple[Effect, ...], stage: Stage
    ) -> None:
        story = Story(rules(start, failover))
        story.begins("call")
        assert (story.over(why), story.at.stage) == (effects, stage)
        if failover is ABORT:
            assert story.at.is_over
        if stage is Stage.BACKING_OFF:
            assert story.waits_out() == (StartRecording(recording="rec2", continues="rec1"),)

    @pytest.mark.parametrize("start", StartMode)
    def test_interrupted_and_retry_is_a_new_recording_at_once(self, start: StartMode) -> None:
        story = Story(rules(start, RETRY))
        story.begins("call")
        story.records()
        story.now = 600.0
        assert story.over(Reason.INTERRUPTED) == ()  # "calls ... currently in use continue to work"
        assert story.at.deadline == story.now
        assert story.waits_out() == (StartRecording(recording="rec2"),)
        assert story.ready() == ()

    @pytest.mark.parametrize("start", StartMode)
    def test_interrupted_and_abort_closes_what_was_being_recorded(self, start: StartMode) -> None:
        story = Story(rules(start, ABORT))
        story.begins("call")
        story.ready()
        story.begins("share", triggers=False)
        story.begins("cobrowse", triggers=False, covered=False)
        assert story.over(Reason.INTERRUPTED) == (
            AbortInteraction(interaction="call", why=Reason.INTERRUPTED),
            AbortInteraction(interaction="share", why=Reason.INTERRUPTED),
        )
        assert [one.id for one in story.at.interactions] == ["cobrowse"]

    def test_it_keeps_trying_later_and_later_up_to_the_cap(self) -> None:
        story, delays = Story(), []
        story.begins("call")
        for _ in range(9):
            story.over(Reason.NOT_STARTED)
            assert story.at.deadline is not None
            delays.append(story.at.deadline - story.now)
            story.waits_out()
        assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_recordings_that_do_not_last_are_not_started_at_once_again_and_again(self) -> None:
        story, delays = Story(), []
        story.begins("call")
        for _ in range(5):
            story.records()
            story.over(Reason.INTERRUPTED)
            assert story.at.deadline is not None
            delays.append(story.at.deadline - story.now)
            story.waits_out()
        assert delays == [0, 1, 2, 4, 8]
        story.records()
        story.now += DELAY_S_MAX
        story.over(Reason.INTERRUPTED)
        assert story.at.deadline == story.now

    def test_once_all_attempts_are_used_up_nobody_is_held_back_again(self) -> None:
        story = Story()
        story.begins("call")
        story.over(Reason.NOT_STARTED)
        assert story.begins("layer") == ()
        story.waits_out()
        story.ready()
        story.over(Reason.INTERRUPTED)
        assert story.begins("later") == (HoldInteraction(interaction="later"),)

    def test_a_start_without_an_answer_counts_as_failed(self) -> None:
        story = Story()
        story.begins("call")
        assert story.at.deadline == LIMIT_S
        assert story.waits_out() == (StopRecording(recording="rec1"), released("call", recorded=False))

    @pytest.mark.parametrize("had_media", [False, True])
    def test_nobody_sending_is_an_interruption_that_aborts(self, had_media: bool) -> None:
        story = Story(rules(SYNC, ABORT))
        story.begins("call")
        story.records() if had_media else story.ready()
        story.now = 75.0
        assert story.over(Reason.SILENT, "no_media") == (
            AbortInteraction(interaction="call", why=Reason.SILENT, failure="no_media"),
        )
        assert story.at.is_over

    def test_nobody_sending_is_tried_again_later_and_later(self) -> None:
        """Each waits 75 s for media that does not come, which is longer than the longest delay."""
        story, delays = Story(), []
        story.begins("call")
        for _ in range(5):
            story.ready()
            story.now += 75.0
            story.over(Reason.SILENT)
            assert story.at.deadline is not None
            delays.append(story.at.deadline - story.now)
            story.waits_out()
        assert delays == [0, 1, 2, 4, 8]

    def test_those_that_fail_in_a_row_without_media_count_in_the_first_of_them(self) -> None:
        story = Story()
        story.begins("call")
        story.over(Reason.NOT_STARTED)
        assert story.waits_out() == (StartRecording(recording="rec2", continues="rec1"),)
        story.ready()
        story.over(Reason.SILENT)
        assert story.waits_out() == (StartRecording(recording="rec3", continues="rec1"),)
        story.records()
        story.over(Reason.INTERRUPTED)
        assert story.waits_out() == (StartRecording(recording="rec4"),)

    def test_what_somebody_asks_for_counts_for_itself(self) -> None:
        story = Story()
        story.begins("call")
        story.over(Reason.NOT_STARTED)
        assert story.happens(AskedByHand(rules=rules())) == (StartRecording(recording="rec2"),)

    @pytest.mark.parametrize("failure", ["storage_test_failed", "store_unreachable"])
    def test_an_abort_says_what_is_wrong_with_the_store(self, failure: str) -> None:
        story = Story(rules(SYNC, ABORT))
        story.begins("call")
        abort = AbortInteraction(interaction="call", why=Reason.NO_STORE, failure=failure)
        assert story.over(Reason.NO_STORE, failure) == (abort,)
        decided = decisions_of([abort], conversation="c", recording="rec1", decided_at=datetime.now(UTC))
        assert [decision.reason for decision in decided] == [failure]


class TestRenewal:
    """A recording that comes near its greatest length is followed without a gap."""

    def renewing(self, terms: FailoverPolicy | None = None) -> Story:
        story = Story(terms or rules())
        story.begins("call")
        story.records()
        assert story.at.deadline == RENEW_S
        assert story.waits_out() == (StartRecording(recording="rec2"),)
        return story

    def test_the_next_one_takes_over_once_it_has_media(self) -> None:
        story = self.renewing()
        assert story.happens(Ready(recording="rec2")) == ()
        assert story.at.stage is Stage.RENEWING
        assert story.happens(MediaBegan(recording="rec2")) == (StopRecording(recording="rec1"),)
        assert (story.at.stage, story.at.recording) == (Stage.RECORDING, "rec2")
        assert story.at.deadline == story.now + RENEW_S

    @pytest.mark.parametrize(
        ("came", "stage"), [((), Stage.STARTING), ((Ready(recording="rec2"),), Stage.READY)]
    )
    @pytest.mark.parametrize("why", [Reason.FULL, Reason.INTERRUPTED])
    def test_when_the_old_one_is_over_first_the_next_one_is_what_there_is(
        self, came: tuple[Event, ...], stage: Stage, why: Reason
    ) -> None:
        story = self.renewing()
        for event in came:
            story.happens(event)
        assert story.happens(Over(recording="rec1", why=why)) == ()
        assert (story.at.stage, story.at.recording, story.at.successor) == (stage, "rec2", None)

    def test_one_that_cannot_be_started_is_tried_again_at_the_end(self) -> None:
        story = self.renewing()
        assert story.happens(Over(recording="rec2", why=Reason.NOT_STARTED)) == ()
        assert (story.at.stage, story.at.recording) == (Stage.RECORDING, "rec1")
        assert story.over(Reason.FULL) == (StartRecording(recording="rec3"),)

    def test_one_that_does_not_answer_is_stopped(self) -> None:
        story = self.renewing()
        assert story.waits_out() == (StopRecording(recording="rec2"),)
        assert (story.at.stage, story.at.deadline) == (Stage.RECORDING, None)

    def test_both_end_with_the_call(self) -> None:
        story = self.renewing()
        stops = (StopRecording(recording="rec1"), StopRecording(recording="rec2"))
        assert story.ends("call") == stops

    def test_both_end_when_somebody_stops_it(self) -> None:
        story = self.renewing()
        assert story.over(Reason.STOPPED) == (StopRecording(recording="rec2"),)
        assert story.at.stage is Stage.IDLE

    def test_an_interruption_aborts_where_it_has_to(self) -> None:
        story = self.renewing(rules(SYNC, ABORT))
        assert story.over(Reason.INTERRUPTED) == (
            StopRecording(recording="rec2"),
            AbortInteraction(interaction="call", why=Reason.INTERRUPTED),
        )

    def test_one_by_hand_is_followed_as_long_as_something_runs(self) -> None:
        for runs in (True, False):
            story = Story()
            if runs:
                story.begins("call", triggers=False)
            story.happens(AskedByHand(rules=rules()))
            story.records()
            assert story.waits_out() == ((StartRecording(recording="rec2"),) if runs else ())
            if not runs:
                assert story.over(Reason.FULL) == ()
                assert story.at.is_over


def row(end_reason: EndReason | None, failure: str | None) -> RecordingRow:
    return RecordingRow(
        id="rec1",
        conversation="conv1",
        number=1,
        type=RecordingType.AUDIO,
        state=RecordingState.FINALIZING,
        end_reason=end_reason,
        failure=failure,
        object_key="key",
        filename="name",
        requested_at=datetime.now(UTC),
    )


class TestWhyItIsOver:
    @pytest.mark.parametrize(
        ("reason", "failure", "why"),
        [
            (None, None, None),
            (EndReason.NORMAL, None, Reason.STOPPED),
            (EndReason.NORMAL, "stopped_before_start", Reason.STOPPED),
            (EndReason.NORMAL, "disk_full", Reason.INTERRUPTED),
            (EndReason.ABORT_SYSTEM, None, Reason.SHUT_DOWN),
            (EndReason.ABORT_SYSTEM, "no_media", Reason.SHUT_DOWN),
            (EndReason.ABORT_SYSTEM, "disk_full", Reason.INTERRUPTED),
            (EndReason.ABORT_SYSTEM, "encoder_mismatch", Reason.INTERRUPTED),
            (EndReason.ABORT_TIMEOUT, None, Reason.FULL),
            (EndReason.ABORT_TIMEOUT, "no_media", Reason.SILENT),
            (EndReason.ABORT_TIMEOUT, "disk_full", Reason.INTERRUPTED),
            (EndReason.ABORT_UNEXPECTED, "worker_died", Reason.INTERRUPTED),
            (EndReason.ABORT_BLOBSTORE_FAILURE, "store_denied", Reason.INTERRUPTED),
        ],
    )
    def test_a_failure_is_an_interruption_whoever_ended_it(
        self, reason: EndReason | None, failure: str | None, why: Reason | None
    ) -> None:
        assert why_over(row(reason, failure), Stage.RECORDING) is why


class TestRestart:
    def test_what_waited_is_due(self) -> None:
        story = Story()
        story.begins("call")
        story.over(Reason.NOT_STARTED)
        again = restored(story.at, 7.0)
        assert (again.stage, again.deadline) == (Stage.BACKING_OFF, 7.0)

    def test_what_is_held_stays_held_with_a_deadline(self) -> None:
        story = Story()
        story.begins("call")
        again = restored(story.at, 7.0)
        assert (again.interactions, again.deadline) == (story.at.interactions, 7.0 + LIMIT_S)

    @EVERY
    def test_a_server_that_was_shut_down_starts_again_and_aborts_nothing(
        self, start: StartMode, failover: FailoverMode
    ) -> None:
        for was_ready in (False, True):
            story = Story(rules(start, failover))
            story.begins("call")
            if was_ready:
                story.ready()
            assert story.over(Reason.SHUT_DOWN) == ()
            assert story.waits_out() == (StartRecording(recording="rec2"),)
            held = start is SYNC and not was_ready
            assert story.ready() == ((released("call", recorded=True),) if held else ())


class Conversations(RuleBasedStateMachine):
    """Any order of events, with what a call service would have been told."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.running: set[str] = set()
        self.held: set[str] = set()
        self.number = 0

    def happens(self, event: Event) -> None:
        before = self.story.at
        for effect in self.story.happens(event):
            self.perform(effect, event, before)

    def perform(self, effect: Effect, event: Event, before: Supervision) -> None:
        match effect:
            case HoldInteraction(interaction=one):
                assert isinstance(event, Began)
                assert event.rules.start_mode is SYNC
                self.held.add(one)
            case ReleaseInteraction(interaction=one, recorded=recorded):
                assert one in self.held
                assert recorded == isinstance(event, Ready)
                if not recorded:  # only once nothing can be waited for
                    assert isinstance(event, Over | Overdue)
                    assert isinstance(event, Overdue) or event.why is not Reason.SHUT_DOWN
                self.held.discard(one)
            case AbortInteraction(interaction=one):
                assert before.rules is not None
                assert before.rules.failover_mode is ABORT
                self.held.discard(one)
                self.running.discard(one)
            case StartRecording():
                full = isinstance(event, Over) and event.why is Reason.FULL
                assert full or before.stage in (Stage.IDLE, Stage.BACKING_OFF, Stage.RECORDING)
            case StopRecording(recording=one):
                assert one in before.recordings

    @rule(
        triggers=st.booleans(),
        covered=st.booleans(),
        start=st.sampled_from(StartMode),
        failover=st.sampled_from(FailoverMode),
    )
    def begins(self, triggers: bool, covered: bool, start: StartMode, failover: FailoverMode) -> None:
        self.number += 1
        name = f"int{self.number}"
        self.running.add(name)
        interaction = SupervisedInteraction(id=name, triggers=triggers, covered=covered or triggers)
        self.happens(Began(interaction=interaction, rules=rules(start, failover)))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(name)
        self.held.discard(name)
        self.happens(Ended(interaction=name))

    @precondition(lambda self: self.story.at.stage in (Stage.IDLE, Stage.BACKING_OFF))
    @rule()
    def asks_by_hand(self) -> None:
        held = set(self.held)
        self.happens(AskedByHand(rules=rules()))
        assert self.held == held

    @rule()
    def becomes_ready(self) -> None:
        self.happens(Ready(recording=self.story.at.recording or "none"))

    @rule()
    def gets_media(self) -> None:
        self.happens(MediaBegan(recording=self.story.at.recording or "none"))

    @rule(why=st.sampled_from(Reason))
    def is_over(self, why: Reason) -> None:
        self.happens(Over(recording=self.story.at.recording or "none", why=why))

    @precondition(lambda self: self.story.at.stage is Stage.RENEWING)
    @rule(event=st.sampled_from((Ready, MediaBegan)))
    def the_next_one_comes(self, event: type[Ready | MediaBegan]) -> None:
        self.happens(event(recording=self.story.at.successor or "none"))

    @precondition(lambda self: self.story.at.stage is Stage.RENEWING)
    @rule(why=st.sampled_from(Reason))
    def the_next_one_is_over(self, why: Reason) -> None:
        self.happens(Over(recording=self.story.at.successor or "none", why=why))

    @rule()
    def something_old_is_heard(self) -> None:
        before = self.story.at
        self.happens(Ready(recording="an old one"))
        self.happens(Over(recording="an old one", why=Reason.INTERRUPTED))
        assert self.story.at == before

    @rule(seconds=st.floats(0, 5000))
    def time_passes(self, seconds: float) -> None:
        self.story.now += seconds
        if self.story.at.deadline is not None and self.story.at.deadline <= self.story.now:
            self.happens(Overdue())

    @rule()
    def the_server_is_killed(self) -> None:
        self.story.at = restored(self.story.at, self.story.now)

    @rule()
    def the_conversation_ends(self) -> None:
        self.running.clear()
        self.held.clear()
        self.happens(Closed())

    @invariant()
    def nobody_waits_without_end(self) -> None:
        at = self.story.at
        assert {one.id for one in at.interactions if one.held} == self.held
        assert {one.id for one in at.interactions} == self.running
        if at.stage in (Stage.IDLE, Stage.READY, Stage.STARTING, Stage.BACKING_OFF):
            assert (at.deadline is not None) == (at.stage in (Stage.STARTING, Stage.BACKING_OFF))
        assert (at.successor is not None) == (at.stage is Stage.RENEWING)
        assert at.stage in (Stage.STARTING, Stage.BACKING_OFF) or not self.held
        assert (at.recording is not None) == (at.stage not in (Stage.IDLE, Stage.BACKING_OFF))
        assert at.stage is Stage.IDLE or at.automatic or at.by_hand

    def teardown(self) -> None:
        """And then nothing happens any more, but that deadlines pass."""
        for _ in range(4):
            if not self.held:
                return
            self.story.waits_out()
            self.held = {one.id for one in self.story.at.interactions if one.held}
        raise AssertionError(f"held for ever: {self.story.at}")


TestConversations = Conversations.TestCase
TestConversations.settings = hypothesis_settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_every_event_has_its_row() -> None:
    kinds = {kind for kind in vars(supervision_events).values() if isinstance(kind, type)}
    known = {kind for kind in kinds if issubclass(kind, Event)} - {Event}
    assert {event for _, event in TABLE} == known
    assert (
        {stage for stage, _ in TABLE} == {stage for row in TABLE.values() for stage in row.to} == set(Stage)
    )
