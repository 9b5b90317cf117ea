"""What the settings mean: truth tables of the two documents that describe a recording product."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.conversation import InteractionKind, LayerKind, Role
from recorder.kernel.media import SourceKind
from recorder.kernel.recording import RecordingType, TriggeringMode
from recorder.settings.definitions import RecordingSettings as Settings
from recorder.supervision.policy import (
    COBROWSING,
    Activity,
    can_be_recorded,
    covers,
    may_start_by_hand,
    may_stop,
    refusal_of_stream,
    triggers,
)

CALL_KIND, LAYER_KIND = InteractionKind.CALL, InteractionKind.COLLABORATION_LAYER
CALL = Activity(kind=CALL_KIND)
EMBEDDED = Activity(kind=LAYER_KIND, layer=LayerKind.EMBEDDED)
BY_PIN = Activity(kind=LAYER_KIND, layer=LayerKind.EMBEDDED, by_pin=True)
SCREEN = Activity(kind=LAYER_KIND, layer=LayerKind.SCREEN_SHARE)

BOTH = Settings()
CALL_ONLY = Settings(triggering_sources=(CALL_KIND,))
LAYER_ONLY = Settings(triggering_sources=(LAYER_KIND,))
MANUAL = Settings(triggering_mode=TriggeringMode.MANUAL)
AUDIO = Settings(type=RecordingType.AUDIO)
OFF = Settings(enabled=False)
NO_COBROWSE = Settings(cobrowse=False)
NO_PIN = Settings(triggering_sources=(CALL_KIND,), cobrowse_pin_starts=False)

activities = st.one_of(
    st.just(CALL),
    st.builds(Activity, kind=st.just(LAYER_KIND), layer=st.sampled_from(LayerKind), by_pin=st.booleans()),
)
all_settings = st.builds(
    Settings,
    enabled=st.booleans(),
    triggering_mode=st.sampled_from(TriggeringMode),
    triggering_sources=st.sets(st.sampled_from(InteractionKind)).map(tuple),
    type=st.sampled_from(RecordingType),
    cobrowse=st.booleans(),
    cobrowse_pin_starts=st.booleans(),
)


@pytest.mark.parametrize(
    ("settings", "call", "embedded", "by_pin", "screen"),
    [
        (BOTH, True, True, True, True),
        (CALL_ONLY, True, False, True, False),
        (LAYER_ONLY, False, True, True, True),
        (MANUAL, False, False, True, False),
        (AUDIO, True, False, False, False),
        (OFF, False, False, False, False),
        (NO_COBROWSE, True, False, False, True),
        (NO_PIN, True, False, False, False),
    ],
    ids=["both", "call only", "layer only", "manual", "audio", "off", "no co-browsing", "no pin"],
)
def test_what_starts_a_recording(
    settings: Settings, call: bool, embedded: bool, by_pin: bool, screen: bool
) -> None:
    found = [triggers(settings, one) for one in (CALL, EMBEDDED, BY_PIN, SCREEN)]
    assert found == [call, embedded, by_pin, screen]


@pytest.mark.parametrize(
    ("settings", "activity", "before", "covered"),
    [
        (CALL_ONLY, EMBEDDED, False, False),  # begun without a recording: never recorded
        (CALL_ONLY, EMBEDDED, True, True),  # "the call must already be being recorded"
        (CALL_ONLY, SCREEN, False, True),  # no co-browsing: taken by whatever recording comes
        (CALL_ONLY, BY_PIN, False, True),  # starts its own
        (NO_PIN, BY_PIN, False, False),
        (NO_PIN, BY_PIN, True, True),
        (MANUAL, EMBEDDED, False, False),
        (MANUAL, EMBEDDED, True, True),
        (MANUAL, CALL, False, True),  # somebody may start one later
        (BOTH, EMBEDDED, False, True),  # triggers by itself
        (NO_COBROWSE, EMBEDDED, True, False),
        (NO_COBROWSE, SCREEN, True, True),
        (AUDIO, SCREEN, True, False),
        (AUDIO, CALL, False, True),
        (OFF, CALL, True, False),
    ],
)
def test_what_is_recorded(settings: Settings, activity: Activity, before: bool, covered: bool) -> None:
    assert covers(settings, activity, recording_before=before) is covered


@pytest.mark.parametrize(
    ("role", "allowed", "may"),
    [
        (Role.AGENT, (Role.AGENT,), True),
        (Role.SECONDARY_AGENT, (Role.AGENT,), False),
        (Role.VISITOR, (Role.AGENT, Role.SUPERVISOR), False),
        (Role.VISITOR, (Role.VISITOR,), True),
        (None, (), True),
    ],
)
def test_who_starts_by_hand(role: Role | None, allowed: tuple[Role, ...], may: bool) -> None:
    assert may_start_by_hand(Settings(allow_manual=allowed), role) is may


@given(all_settings, activities, st.booleans())
def test_what_triggers_is_recorded_and_what_cannot_be_is_not(
    settings: Settings, activity: Activity, before: bool
) -> None:
    covered = covers(settings, activity, recording_before=before)
    assert covered or not triggers(settings, activity)
    assert can_be_recorded(settings, activity) or not covered
    assert settings.enabled or not covered


@given(all_settings, activities)
def test_a_recording_that_ran_before_never_covers_less(settings: Settings, activity: Activity) -> None:
    alone, within = (covers(settings, activity, recording_before=before) for before in (False, True))
    assert within or not alone
    if activity.kind is CALL_KIND or not activity.is_cobrowsing:
        assert alone == within


@given(all_settings, activities)
def test_a_pin_only_ever_adds(settings: Settings, activity: Activity) -> None:
    without = msgspec.structs.replace(activity, by_pin=False)
    assert triggers(settings, activity) or not triggers(settings, without)


@pytest.mark.parametrize("source", SourceKind)
def test_streams_of_a_layer_that_is_not_covered_are_not_taken(source: SourceKind) -> None:
    for covered, settings in product((False, True), (BOTH, CALL_ONLY)):
        running = [(Activity(kind=LAYER_KIND, layer=LayerKind(layer)), covered) for layer in LayerKind]
        of_call = source.interaction is CALL_KIND
        assert (refusal_of_stream(source, settings, running) is None) is (of_call or covered)


@pytest.mark.parametrize("layer", sorted(COBROWSING))
def test_a_layer_that_nobody_announced_begins_with_its_stream(layer: LayerKind) -> None:
    source = SourceKind(layer.value)
    assert refusal_of_stream(source, CALL_ONLY, [(CALL, True)]) is None
    assert refusal_of_stream(source, NO_COBROWSE, [(CALL, True)]) is not None


@pytest.mark.parametrize(
    ("settings", "running", "key"),
    [
        (Settings(enabled=False), [], "recording.enabled"),
        (Settings(type=RecordingType.AUDIO), [], "recording.type"),
        (Settings(cobrowse=False), [], "recording.cobrowse"),
        (Settings(), [(EMBEDDED, False)], "began before"),
    ],
)
def test_a_refused_stream_hears_the_cause(
    settings: Settings, running: list[tuple[Activity, bool]], key: str
) -> None:
    assert key in (refusal_of_stream(SourceKind.EMBEDDED, settings, running) or "")


def test_who_may_stop() -> None:
    by_default, named = Settings(), Settings(allow_stop=(Role.SUPERVISOR,))
    for role in Role:
        assert not may_stop(by_default, role, automatic=True)
        assert may_stop(by_default, role, automatic=False) is (role in by_default.allow_manual)
        assert may_stop(named, role, automatic=True) is (role is Role.SUPERVISOR)
    assert may_stop(by_default, None, automatic=True)  # an API key
