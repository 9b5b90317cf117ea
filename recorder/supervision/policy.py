"""Recording policy: what the settings mean for a call or a layer, what starts and what is taken. Pure.

Two rules meet here. A *triggering source* starts a recording, and while one of them runs it goes on.
Co-browsing that triggers nothing is recorded only where a recording had been started before it, and never
from its middle: what led to what is seen would be missing.
"""

from collections.abc import Iterable

import msgspec

from recorder.kernel.conversation import InteractionKind, LayerKind, Role
from recorder.kernel.media import SourceKind
from recorder.kernel.recording import RecordingType, TriggeringMode
from recorder.settings.definitions import RecordingSettings

COBROWSING = frozenset({LayerKind.DOCUMENT, LayerKind.EMBEDDED, LayerKind.UNIVERSAL})


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """A call or a layer as far as the policy looks at it. `by_pin`: people met by typing a PIN."""

    kind: InteractionKind
    layer: LayerKind | None = None
    by_pin: bool = False

    @property
    def is_cobrowsing(self) -> bool:
        return self.layer in COBROWSING


def can_be_recorded(settings: RecordingSettings, activity: Activity) -> bool:
    """Whether anything of it may ever be recorded. An AUDIO recording takes no layer: it has no pictures."""
    if not settings.enabled:
        return False
    if activity.kind is InteractionKind.CALL:
        return True
    if settings.type is RecordingType.AUDIO:
        return False
    return settings.cobrowse or not activity.is_cobrowsing


def triggers(settings: RecordingSettings, activity: Activity) -> bool:
    """Whether a recording starts by itself with it, and goes on as long as it runs.

    Co-browsing by PIN has its own switch, which counts in both modes: no call stands beside it.
    """
    if not can_be_recorded(settings, activity):
        return False
    if activity.is_cobrowsing and activity.by_pin and settings.cobrowse_pin_starts:
        return True
    automatic = settings.triggering_mode is TriggeringMode.AUTOMATIC
    return automatic and activity.kind in settings.triggering_sources


def covers(settings: RecordingSettings, activity: Activity, *, recording_before: bool) -> bool:
    """Whether recordings take it, decided once, when it begins.

    `recording_before`: a recording of the conversation had been started by then. Calls and screen shares are
    taken by every recording that runs during them.
    """
    if not can_be_recorded(settings, activity):
        return False
    return recording_before or not activity.is_cobrowsing or triggers(settings, activity)


def may_start_by_hand(settings: RecordingSettings, role: Role | None) -> bool:
    """Whether a participant in this role may; None is an API key, which may do everything."""
    return role is None or role in settings.allow_manual


def may_stop(settings: RecordingSettings, role: Role | None, *, automatic: bool) -> bool:
    """Whether a participant in this role may; what started by policy is not theirs to end by default."""
    return role is None or role in (settings.allow_stop if automatic else settings.allow_manual)


def refusal_of_stream(
    source: SourceKind, settings: RecordingSettings, running: Iterable[tuple[Activity, bool]]
) -> str | None:
    """Why a stream of this source is not taken, given what runs and whether it is covered; None: it is.

    A layer that nobody announced begins with its stream.
    """
    if source.interaction is InteractionKind.CALL:
        return None
    layer = LayerKind(source.value)
    activity = Activity(kind=InteractionKind.COLLABORATION_LAYER, layer=layer)
    if not can_be_recorded(settings, activity):
        return _why_never(settings)
    covered = [covered for activity, covered in running if activity.layer is layer]
    if any(covered) or (not covered and covers(settings, activity, recording_before=True)):
        return None
    return "It began before the recording did; what is recorded is whole from its beginning."


def _why_never(settings: RecordingSettings) -> str:
    if not settings.enabled:
        return "Recording is switched off (recording.enabled)."
    if settings.type is RecordingType.AUDIO:
        return "Only sound is recorded here (recording.type)."
    return "Co-browsing is not recorded here (recording.cobrowse)."
