"""The table of a recording's life: every rule by name, and what holds on every path."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording import events as word
from recorder.recording.events import Event, Lifecycle, Phase, Timeouts
from recorder.recording.state_machine import (
    TABLE,
    IllegalMoveError,
    Step,
    adopt_ended,
    adopt_running,
    begin,
    retry_delay_s,
    step,
)

TERMS = Timeouts(
    check_timeout_s=5,
    initialization_timeout_s=10,
    attempts_max=3,
    retry_delay_s_max=60,
    media_timeout_s=75,
    duration_s_max=3600,
    drain_timeout_s=25,
    upload_timeout_s=86_400,
)
EVENTS: tuple[Event, ...] = (
    word.StoreReachable(),
    word.StoreUnreachable(failure="store_unreachable"),
    word.WorkerReady(),
    word.WorkerLost(failure="worker_died"),
    word.WorkerEnded(reason=EndReason.NORMAL),
    word.WorkerEnded(reason=EndReason.ABORT_SYSTEM, failure="disk_full"),
    word.MediaStarted(),
    word.PauseTaken(),
    word.ResumeTaken(),
    word.StopRequested(),
    word.Uploaded(),
    word.NothingWritten(),
    word.UploadFailed(failure="spool_damaged"),
    word.Overdue(),
)
TO_READY = (word.StoreReachable(), word.WorkerReady())
TO_RECORDING = (*TO_READY, word.MediaStarted())


CONTINUING = msgspec.structs.replace(TERMS, continues=True)


class TestInterruptions:
    """Another worker goes on where one was lost."""

    def at(self, *happened: tuple[float, Event]) -> Step:
        at = begin(CONTINUING, 0.0)
        for event in TO_RECORDING:
            at = step(at[0], event, CONTINUING, 0.0)
        for now, event in happened:
            at = step(at[0], event, CONTINUING, now)
        return at

    def test_another_worker_is_launched_at_once(self) -> None:
        life, effects = self.at((100.0, word.WorkerLost(failure="worker_died")))
        assert (life.phase, life.attempt) == (Phase.INTERRUPTED, 2)
        assert life.phase.state is RecordingState.INTERRUPTED
        assert effects == (word.LaunchWorker(attempt=2),)

    def test_it_records_again_and_is_no_longer_for_it(self) -> None:
        lost = (100.0, word.WorkerLost(failure="worker_died"))
        life, _ = self.at(lost, (101.0, word.WorkerReady()))
        assert (life.phase, life.deadline) == (Phase.RESUMING, 101.0 + TERMS.media_timeout_s)
        assert life.phase.takes_publishers
        life, _ = self.at(lost, (101.0, word.WorkerReady()), (102.0, word.MediaStarted()))
        assert (life.phase, life.deadline) == (Phase.RECORDING, TERMS.duration_s_max)

    def test_workers_that_record_are_lost_as_often_as_it_happens(self) -> None:
        rounds: list[tuple[float, Event]] = []
        for index in range(1, 50):
            now = 10.0 * index
            lost, ready = word.WorkerLost(failure="worker_died"), word.WorkerReady()
            rounds += [(now, lost), (now + 1, ready), (now + 2, word.MediaStarted())]
        assert self.at(*rounds)[0].phase is Phase.RECORDING

    def test_workers_that_die_one_after_the_other_are_an_end(self) -> None:
        lost = word.WorkerLost(failure="worker_died")
        life, _ = self.at(*[(100.0, lost)] * TERMS.attempts_max)
        assert life.phase is Phase.INTERRUPTED
        life, effects = self.at(*[(100.0, lost)] * (TERMS.attempts_max + 1))
        assert (life.phase, life.failure) == (Phase.UPLOADING, "worker_died")
        assert effects == (word.Upload(),)

    def test_one_that_says_nothing_is_killed_and_another_launched(self) -> None:
        life, effects = self.at((100.0, word.WorkerLost(failure="worker_died")), (120.0, word.Overdue()))
        assert (life.phase, life.attempt) == (Phase.INTERRUPTED, 3)
        assert effects == (word.KillWorker(), word.LaunchWorker(attempt=3))

    def test_a_stop_meanwhile_keeps_what_there_is(self) -> None:
        life, effects = self.at(
            (100.0, word.WorkerLost(failure="worker_died")), (100.1, word.StopRequested())
        )
        assert (life.phase, life.end_reason, life.failure) == (Phase.UPLOADING, EndReason.NORMAL, None)
        assert effects == (word.KillWorker(), word.Upload())

    def test_nobody_who_comes_back_is_an_end_without_failure(self) -> None:
        lost = (100.0, word.WorkerLost(failure="worker_died"))
        life, _ = self.at(lost, (101.0, word.WorkerReady()), (200.0, word.Overdue()))
        assert (life.phase, life.end_reason, life.failure) == (Phase.DRAINING, EndReason.ABORT_TIMEOUT, None)


def lived(*events: Event, now: float = 0.0) -> Step:
    """A life from its beginning through these events, and the effects of the last one."""
    at: Step = begin(TERMS, now)
    for event in events:
        at = step(at[0], event, TERMS, now)
    return at


class TestStarting:
    def test_asks_the_store_first(self) -> None:
        life, effects = begin(TERMS, 100.0)
        assert (life.phase, life.deadline) == (Phase.CHECKING, 105.0)
        assert effects == (word.CheckStore(),)

    def test_launches_once_the_store_answered(self) -> None:
        life, effects = lived(word.StoreReachable())
        assert (life.phase, life.attempt, life.deadline) == (Phase.LAUNCHING, 1, 10.0)
        assert effects == (word.LaunchWorker(attempt=1),)

    @pytest.mark.parametrize("event", [word.StoreUnreachable(failure="store_unreachable"), word.Overdue()])
    def test_fails_without_a_store_and_makes_no_attempt(self, event: Event) -> None:
        life, effects = lived(event)
        assert (life.phase, life.end_reason) == (Phase.FAILED, EndReason.ABORT_BLOBSTORE_FAILURE)
        assert (life.failure, effects) == ("store_unreachable", ())

    def test_a_lost_worker_is_launched_again_after_the_back_off(self) -> None:
        life, effects = lived(word.StoreReachable(), word.WorkerLost(failure="worker_died"))
        assert (life.phase, life.deadline, effects) == (Phase.BACKING_OFF, 1.0, ())
        life, effects = step(life, word.Overdue(), TERMS, 1.0)
        assert (life.phase, life.attempt, effects) == (Phase.LAUNCHING, 2, (word.LaunchWorker(attempt=2),))

    def test_a_worker_that_is_not_ready_in_time_is_killed(self) -> None:
        life, effects = lived(word.StoreReachable(), word.Overdue())
        assert (life.phase, effects) == (Phase.BACKING_OFF, (word.KillWorker(),))

    def test_gives_up_after_the_last_attempt(self) -> None:
        life, _ = lived(word.StoreReachable())
        launches = 1
        for now in itertools.count():
            life, effects = step(life, word.Overdue(), TERMS, float(now))
            launches += sum(isinstance(effect, word.LaunchWorker) for effect in effects)
            if life.phase.is_last:
                break
        assert (launches, life.phase, life.failure) == (3, Phase.FAILED, "worker_not_ready")
        assert life.end_reason is EndReason.ABORT_UNEXPECTED

    def test_says_why_the_worker_could_not_begin(self) -> None:
        one = Timeouts(**{**{f: getattr(TERMS, f) for f in TERMS.__struct_fields__}, "attempts_max": 1})
        life, _ = step(begin(one, 0)[0], word.StoreReachable(), one, 0)
        event = word.WorkerEnded(reason=EndReason.ABORT_UNEXPECTED, failure="disk_full")
        assert step(life, event, one, 0)[0].failure == "disk_full"

    @pytest.mark.parametrize(
        "before", [(), (word.StoreReachable(),), (word.StoreReachable(), word.Overdue())]
    )
    def test_can_be_stopped_at_any_moment(self, before: tuple[Event, ...]) -> None:
        life, _ = lived(*before, word.StopRequested())
        assert (life.phase, life.failure) == (Phase.FAILED, "stopped_before_start")
        assert life.end_reason is EndReason.NORMAL

    @given(attempt=st.integers(1, 10_000), cap=st.floats(0.1, 3600))
    def test_the_back_off_doubles_up_to_its_cap(self, attempt: int, cap: float) -> None:
        terms = Timeouts(
            **{**{f: getattr(TERMS, f) for f in TERMS.__struct_fields__}, "retry_delay_s_max": cap}
        )
        delay = retry_delay_s(attempt, terms)
        assert delay == min(2.0 ** min(attempt - 1, 32), cap)
        assert delay <= retry_delay_s(attempt + 1, terms) <= cap


class TestRunning:
    def test_media_makes_it_recording(self) -> None:
        life, _ = lived(*TO_RECORDING)
        assert life.phase.state is RecordingState.RECORDING

    def test_ready_without_media_ends(self) -> None:
        life, effects = lived(*TO_READY, word.Overdue())
        assert (life.phase, life.end_reason) == (Phase.DRAINING, EndReason.ABORT_TIMEOUT)
        assert effects == (word.StopWorker(reason=EndReason.ABORT_TIMEOUT),)

    def test_pausing_does_not_move_the_end(self) -> None:
        running, _ = lived(*TO_RECORDING)
        paused, _ = step(running, word.PauseTaken(), TERMS, 50.0)
        assert (paused.phase, paused.deadline) == (Phase.PAUSED, running.deadline)
        resumed, _ = step(paused, word.ResumeTaken(), TERMS, 60.0)
        assert resumed == running

    def test_too_long_ends_without_failure(self) -> None:
        life, _ = lived(*TO_RECORDING, word.Overdue())
        assert (life.phase, life.end_reason, life.failure) == (Phase.DRAINING, EndReason.ABORT_TIMEOUT, None)


class TestEnding:
    def test_normally(self) -> None:
        life, effects = lived(*TO_RECORDING, word.StopRequested())
        assert (life.phase, effects) == (Phase.DRAINING, (word.StopWorker(reason=EndReason.NORMAL),))
        life, effects = step(life, word.WorkerEnded(reason=EndReason.NORMAL), TERMS, 1.0)
        assert (life.phase, effects) == (Phase.UPLOADING, (word.Upload(),))
        life, effects = step(life, word.Uploaded(), TERMS, 2.0)
        assert (life.phase, life.end_reason, life.failure, life.deadline) == (
            Phase.AVAILABLE,
            EndReason.NORMAL,
            None,
            None,
        )

    @pytest.mark.parametrize("before", [TO_READY, TO_RECORDING, (*TO_RECORDING, word.PauseTaken())])
    def test_a_dead_worker_cuts_it_short_and_what_it_wrote_is_kept(self, before: tuple[Event, ...]) -> None:
        life, effects = lived(*before, word.WorkerLost(failure="worker_died"))
        assert (life.phase, effects) == (Phase.UPLOADING, (word.Upload(),))
        life, _ = step(life, word.Uploaded(), TERMS, 1.0)
        assert (life.phase, life.failure) == (Phase.AVAILABLE, "worker_died")
        assert life.end_reason is EndReason.ABORT_UNEXPECTED

    def test_by_itself(self) -> None:
        life, _ = lived(*TO_READY, word.WorkerEnded(reason=EndReason.ABORT_TIMEOUT, failure="no_media"))
        life, _ = step(life, word.NothingWritten(), TERMS, 1.0)
        assert (life.phase, life.end_reason, life.failure) == (
            Phase.FAILED,
            EndReason.ABORT_TIMEOUT,
            "no_media",
        )

    def test_stopped_before_any_media_has_nothing_to_offer(self) -> None:
        life, _ = lived(
            *TO_READY, word.StopRequested(), word.WorkerEnded(reason=EndReason.NORMAL), word.NothingWritten()
        )
        assert (life.phase, life.end_reason, life.failure) == (Phase.FAILED, EndReason.NORMAL, "no_media")

    def test_why_we_asked_counts_unless_ending_itself_failed(self) -> None:
        asked = word.StopRequested(reason=EndReason.ABORT_SYSTEM)
        draining, _ = lived(*TO_RECORDING, asked)
        life, _ = step(draining, word.WorkerEnded(reason=EndReason.NORMAL), TERMS, 1.0)
        assert (life.end_reason, life.failure) == (EndReason.ABORT_SYSTEM, None)
        worse = word.WorkerEnded(reason=EndReason.ABORT_UNEXPECTED, failure="drain_timeout")
        life, _ = step(draining, worse, TERMS, 1.0)
        assert (life.end_reason, life.failure) == (EndReason.ABORT_UNEXPECTED, "drain_timeout")

    def test_a_worker_that_does_not_drain_is_killed_and_its_spool_uploaded(self) -> None:
        life, effects = lived(*TO_RECORDING, word.StopRequested(), word.Overdue())
        assert (life.phase, life.failure) == (Phase.UPLOADING, "drain_timeout")
        assert effects == (word.KillWorker(), word.Upload())

    def test_a_store_that_never_comes_back(self) -> None:
        life, effects = lived(*TO_RECORDING, word.WorkerLost(failure="worker_died"), word.Overdue())
        assert (life.phase, life.failure) == (Phase.FAILED, "store_unreachable")
        assert effects == (word.AbandonUpload(),)


class TestAdopting:
    @pytest.mark.parametrize("phase", [Phase.READY, Phase.RECORDING, Phase.PAUSED])
    def test_a_running_one_gets_a_deadline(self, phase: Phase) -> None:
        life = adopt_running(phase, TERMS, 1000.0)
        assert life.phase is phase
        assert life.deadline is not None
        assert life.deadline > 1000.0

    def test_nothing_else_can_be_running(self) -> None:
        with pytest.raises(ValueError, match="a worker is not"):
            adopt_running(Phase.UPLOADING, TERMS, 0.0)

    def test_an_ended_one_is_shipped(self) -> None:
        life, effects = adopt_ended(EndReason.NORMAL, None, TERMS, 0.0)
        assert (life.phase, effects) == (Phase.UPLOADING, (word.Upload(),))

    def test_what_a_crash_left_is_available_when_it_is_in_the_store(self) -> None:
        reason, failure = EndReason.ABORT_UNEXPECTED, "worker_died"
        life, _ = adopt_ended(reason, failure, TERMS, 0.0)
        life, _ = step(life, word.Uploaded(), TERMS, 1.0)
        assert (life.phase, life.end_reason, life.failure) == (Phase.AVAILABLE, reason, failure)

    def test_a_crash_that_left_nothing_is_a_failure(self) -> None:
        life, _ = adopt_ended(EndReason.ABORT_UNEXPECTED, "worker_died", TERMS, 0.0)
        assert step(life, word.NothingWritten(), TERMS, 1.0)[0].phase is Phase.FAILED


class TestEveryPath:
    @given(st.lists(st.sampled_from(EVENTS), max_size=40))
    def test_is_never_stuck_never_half_told_and_illegal_events_change_nothing(
        self, events: list[Event]
    ) -> None:
        life, now = begin(TERMS, 0.0)[0], 0.0
        for event in events:
            before, now = life, now + 0.5
            try:
                life, _ = step(life, event, TERMS, now)
            except IllegalMoveError as error:
                assert error.code == "illegal_move"
                assert life == before
            else:
                assert life.phase in TABLE[before.phase, type(event)].to
            _holds(before, life, event)
        for _ in range(20):  # and then nothing happens any more, but that deadlines pass
            if life.phase.is_last:
                return
            assert life.deadline is not None
            now = max(now, life.deadline)
            life, _ = step(life, word.Overdue(), TERMS, now)
        raise AssertionError(f"stuck in {life}")


def _holds(before: Lifecycle, after: Lifecycle, event: Event) -> None:
    assert (after.deadline is None) == after.phase.is_last
    assert (after.end_reason is not None) == (after.phase.state in _ENDING)
    if after.phase is Phase.AVAILABLE and before.phase is not Phase.AVAILABLE:
        assert isinstance(event, word.Uploaded)
    if before.phase.is_last:
        assert after == before


_ENDING = (RecordingState.FINALIZING, RecordingState.AVAILABLE, RecordingState.FAILED)
