"""Supervision events and effects: what happens in a conversation, and what is then to be done. Pure values.

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
    renew_after_s: float | None = None  # of media: then the recording that follows is started; None: never


class SupervisedInteraction(msgspec.Struct, frozen=True, kw_only=True):
    """An interaction that runs, or waits to be let."""

    id: str
    triggers: bool
    covered: bool
    held: bool = False


class Reason(StrEnum):
    """Why a recording is over, as far as anything follows from it."""

    STOPPED = "STOPPED"  # somebody stopped it
    FULL = "FULL"  # it reached its greatest length
    NOT_STARTED = "NOT_STARTED"  # no attempt succeeded
    NO_STORE = "NO_STORE"
    INTERRUPTED = "INTERRUPTED"
    SILENT = "SILENT"  # nobody sent anything for too long
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


class MediaBegan(Event, frozen=True, kw_only=True):
    """The first media of the recording was received."""

    recording: str


class Over(Event, frozen=True, kw_only=True):
    """The recording takes no publishers any more; `failure` is the stable code of what went wrong."""

    recording: str
    why: Reason
    failure: str | None = None


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
    failure: str | None = None


class StartRecording(Effect, frozen=True, kw_only=True):
    """`continues`: the failed recording whose entry this one is counted in, should it fail like that one."""

    recording: str
    continues: str | None = None


class StopRecording(Effect, frozen=True, kw_only=True):
    recording: str
