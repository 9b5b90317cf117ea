"""Whether a recording receives anything: who joined, left, fell silent and came back."""

from recorder.kernel.media import MediaEvent, SourceKind
from recorder.recording.reception import Reception


def event(kind: str, who: str = "ada", source: SourceKind = SourceKind.CAMERA) -> MediaEvent:
    return MediaEvent(kind=kind, at_s=0.0, participant=who, source=source)


def after(*events: MediaEvent) -> bool:
    reception = Reception()
    for each in events:
        reception.observe(each)
    return reception.is_receiving


def test_what_is_not_known_is_not_denied() -> None:
    assert Reception().is_receiving
    assert after(event("gap_started"))  # of somebody whom an earlier server saw join


def test_nobody_sends_when_all_have_left_or_are_silent() -> None:
    both = event("joined"), event("joined", "blaise")
    assert after(*both, event("left"))
    assert not after(*both, event("left"), event("left", "blaise"))
    assert not after(*both, event("left"), event("gap_started", "blaise"))
    assert after(*both, event("left"), event("gap_started", "blaise"), event("gap_ended", "blaise"))


def test_a_second_session_of_somebody_is_one_more() -> None:
    assert after(event("joined"), event("joined"), event("left"))
    assert not after(event("joined"), event("joined"), event("left"), event("left"))


def test_only_a_change_is_one() -> None:
    reception = Reception()
    kinds = ("joined", "muted", "gap_started", "gap_started", "gap_ended", "left")
    assert [reception.observe(event(kind)) for kind in kinds] == [False, False, True, False, True, True]
