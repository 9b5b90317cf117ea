"""Events of a recording: told once they are in it, and never later than its end."""

from media.handover.render_queue import Joined, StreamStarted
from media.sync.event_log import WAITING_MAX, EventLog
from recorder.kernel.media import MediaEvent, Publisher
from tests.media.test_render import PLAN
from tests.support.encoded_source import NS, Sender, opus_packets, replay

ADA = Publisher(participant="ada", name="Ada")
LATE = Publisher(participant="late", name="Late")


def log(zero_s: float = 10.0) -> tuple[EventLog, list[MediaEvent]]:
    told: list[MediaEvent] = []
    made = EventLog(told.append)
    made.begin(round(zero_s * NS))
    return made, told


def times(told: list[MediaEvent]) -> list[tuple[str, float]]:
    return [(event.kind, event.at_s) for event in told]


def test_what_is_ahead_of_the_rendering_waits_for_it() -> None:
    made, told = log()
    made.say("recording_started", 10 * NS)
    made.say("joined", 12 * NS, ADA)
    assert times(told) == [("recording_started", 0.0)]
    made.rendered(11 * NS)
    made.say("left", 11 * NS, ADA)
    assert times(told)[1:] == [("left", 1.0)]
    made.rendered(12 * NS)
    assert times(told)[2:] == [("joined", 2.0)]


def test_what_the_recording_never_reaches_happens_at_its_end() -> None:
    made, told = log()
    made.say("joined", 13 * NS, ADA)
    made.say("stream_started", 14 * NS, ADA)
    made.end(2 * NS)
    made.say("left", 15 * NS, ADA)
    assert times(told) == [("joined", 2.0), ("stream_started", 2.0), ("left", 2.0)]


def test_before_the_beginning_everything_is_told_at_once() -> None:
    told: list[MediaEvent] = []
    EventLog(told.append).say("joined", 5 * NS, ADA)
    assert times(told) == [("joined", 0.0)]


def test_no_more_wait_than_may() -> None:
    made, told = log()
    for _ in range(WAITING_MAX + 3):
        made.say("joined", 20 * NS, ADA)
    assert len(told) == 3


def test_who_comes_right_before_the_end_comes_no_later_than_that() -> None:
    sender = Sender("s1", ADA)
    sender.sound(opus_packets(2.0, ()))
    output, renderer = replay(PLAN, [sender], until_s=102.0, finish=False)
    now_ns = round(102.5 * NS)
    renderer.accept(Joined("s2", LATE, now_ns), now_ns)
    renderer.accept(StreamStarted("s2", "x", False, now_ns), now_ns)
    renderer.finish(now_ns)
    end_s = renderer.duration_ns / NS
    late = [event for event in output.events if event.participant == "late"]
    assert [event.kind for event in late[:2]] == ["joined", "stream_started"]
    assert all(event.at_s <= end_s for event in output.events)
