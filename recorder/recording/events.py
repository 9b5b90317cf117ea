"""The words of recorder.recording.state_machine: phases, events, effects, and a life between them."""

from enum import StrEnum

import msgspec

from recorder.kernel.recording import EndReason, RecordingState


class Phase(StrEnum):
    """Where a recording is, and so what it waits for."""

    CHECKING = "CHECKING"  # for the store to answer
    LAUNCHING = "LAUNCHING"  # for a worker to say hello
    BACKING_OFF = "BACKING_OFF"  # for the next attempt's time
    READY = "READY"  # for the first media
    RECORDING = "RECORDING"  # for the end
    PAUSED = "PAUSED"  # for resumption or the end
    INTERRUPTED = "INTERRUPTED"  # its worker is lost: for another one's hello
    RESUMING = "RESUMING"  # for media again
    DRAINING = "DRAINING"  # for the worker's last fragment
    UPLOADING = "UPLOADING"  # for the store to hold and verify everything
    AVAILABLE = "AVAILABLE"
    FAILED = "FAILED"

    @property
    def state(self) -> RecordingState:
        """What callers see."""
        return _STATES[self]

    @property
    def is_last(self) -> bool:
        return self in (Phase.AVAILABLE, Phase.FAILED)

    @property
    def takes_publishers(self) -> bool:
        """Whether the entry point is open."""
        return self in (Phase.READY, Phase.RECORDING, Phase.PAUSED, Phase.RESUMING)

    @property
    def launches(self) -> bool:
        """Whether a worker is on its way."""
        return self in (Phase.LAUNCHING, Phase.INTERRUPTED)


_STATES = {
    Phase.CHECKING: RecordingState.REQUESTED,
    Phase.LAUNCHING: RecordingState.LAUNCHING,
    Phase.BACKING_OFF: RecordingState.LAUNCHING,
    Phase.READY: RecordingState.READY,
    Phase.RECORDING: RecordingState.RECORDING,
    Phase.PAUSED: RecordingState.PAUSED,
    Phase.INTERRUPTED: RecordingState.INTERRUPTED,
    Phase.RESUMING: RecordingState.INTERRUPTED,
    Phase.DRAINING: RecordingState.FINALIZING,
    Phase.UPLOADING: RecordingState.FINALIZING,
    Phase.AVAILABLE: RecordingState.AVAILABLE,
    Phase.FAILED: RecordingState.FAILED,
}


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase may last, in seconds, and how often a launch is tried."""

    check_timeout_s: float
    initialization_timeout_s: float
    attempts_max: int
    retry_delay_s_max: float
    media_timeout_s: float
    duration_s_max: float
    drain_timeout_s: float
    upload_timeout_s: float
    continues: bool = False  # whether another worker goes on where one was lost


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """One recording at one moment. `deadline` is when Overdue is due; None only in a last phase."""

    phase: Phase
    deadline: float | None
    attempt: int = 0  # of launching; counts from 1
    end_reason: EndReason | None = None
    failure: str | None = None
    ends_at: float | None = None  # once it records: when it is as long as it may be
    recorded_since: float | None = None  # by this worker
    interruptions: int = 0  # in a row, each of a worker that had hardly recorded


# --- events ------------------------------------------------------------------------------------------
class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the recording."""


class StoreReachable(Event, frozen=True, kw_only=True):
    """The store answered, or nobody wants to know."""


class StoreUnreachable(Event, frozen=True, kw_only=True):
    failure: str


class WorkerReady(Event, frozen=True, kw_only=True):
    """The worker of the current attempt takes publishers."""


class WorkerLost(Event, frozen=True, kw_only=True):
    """The worker died, or could not be started, or cannot be spoken to; what it wrote is in the spool."""

    failure: str


class WorkerEnded(Event, frozen=True, kw_only=True):
    """The worker wrote its last fragment, by itself or because it was asked to."""

    reason: EndReason
    failure: str | None = None


class MediaStarted(Event, frozen=True, kw_only=True):
    """Media is being recorded; the first of it was captured so long ago."""

    ago_s: float = 0.0


class PauseTaken(Event, frozen=True, kw_only=True):
    pass


class ResumeTaken(Event, frozen=True, kw_only=True):
    pass


class StopRequested(Event, frozen=True, kw_only=True):
    reason: EndReason = EndReason.NORMAL


class Uploaded(Event, frozen=True, kw_only=True):
    """The store holds the object, and that was verified; `failure` where it is not all that was recorded."""

    failure: str | None = None


class NothingWritten(Event, frozen=True, kw_only=True):
    """There is no media to keep."""


class UploadFailed(Event, frozen=True, kw_only=True):
    failure: str


class Overdue(Event, frozen=True, kw_only=True):
    """The deadline passed."""


# --- effects -----------------------------------------------------------------------------------------
class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done; its outcome comes back as an event."""


class CheckStore(Effect, frozen=True, kw_only=True):
    pass


class LaunchWorker(Effect, frozen=True, kw_only=True):
    attempt: int


class StopWorker(Effect, frozen=True, kw_only=True):
    reason: EndReason


class KillWorker(Effect, frozen=True, kw_only=True):
    pass


class Upload(Effect, frozen=True, kw_only=True):
    pass


class AbandonUpload(Effect, frozen=True, kw_only=True):
    pass
