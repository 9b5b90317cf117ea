"""What the supervision of a conversation hears, and what it then wants done. Pure values.

recorder.supervision.state_machine is the table over them: events in, effects out.
"""

from enum import StrEnum

import msgspec

from recorder.kernel.recording import FailoverMode, StartMode


class FailoverPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they were when the recording was asked for; delays in seconds."""

    start_mode: StartMode
    failover_mode: FailoverMode
    retry_delay_s_max: float
    start_limit_s: float  # the recording's own deadlines come first: this one is for a defect


class SupervisedInteraction(msgspec.Struct, frozen=True, kw_only=True):
    """An interaction that runs, or waits to be let."""

    id: str
    triggers: bool
    covered: bool
    held: bool = False


class Reason(StrEnum):
    """Why a recording is over, as far as anything follows from it."""

    STOPPED = "STOPPED"  # somebody stopped it, or it reached its greatest length
    NOT_STARTED = "NOT_STARTED"  # no attempt succeeded
    NO_STORE = "NO_STORE"
    INTERRUPTED = "INTERRUPTED"
    SILENT = "SILENT"  # nobody sent anything for too long: not an error, but somebody still may
    SHUT_DOWN = "SHUT_DOWN"  # the server ended it to be restarted


# --- events ------------------------------------------------------------------------------------------
class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in the conversation."""


class Began(Event, frozen=True, kw_only=True):
    interaction: SupervisedInteraction
    rules: FailoverPolicy


class Ended(Event, frozen=True, kw_only=True):
    interaction: str


class AskedByHand(Event, frozen=True, kw_only=True):
    rules: FailoverPolicy


class Ready(Event, frozen=True, kw_only=True):
    recording: str


class Over(Event, frozen=True, kw_only=True):
    """The recording takes no publishers any more."""

    recording: str
    why: Reason


class Closed(Event, frozen=True, kw_only=True):
    """The conversation has ended, and every interaction with it."""


class Overdue(Event, frozen=True, kw_only=True):
    """The deadline passed."""


# --- effects -----------------------------------------------------------------------------------------
class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done."""


class HoldInteraction(Effect, frozen=True, kw_only=True):
    interaction: str


class ReleaseInteraction(Effect, frozen=True, kw_only=True):
    interaction: str
    recorded: bool  # False: it starts although nothing records it


class AbortInteraction(Effect, frozen=True, kw_only=True):
    interaction: str
    why: Reason


class StartRecording(Effect, frozen=True, kw_only=True):
    recording: str


class StopRecording(Effect, frozen=True, kw_only=True):
    recording: str
