"""An hour of a call in simulated time: sound is stretched, pictures are moved, and neither drifts away."""

import logging

import numpy as np
import pytest

from media.handover.encoded_frame import Codec
from recorder.kernel.media import Canvas, Publisher
from recorder.kernel.recording import RecordingPlan
from tests.support.encoded_source import Reports, Sender, opus_packets, replay, video_frames
from tests.support.flashes import Found, examine

logger = logging.getLogger(__name__)

HOUR_S = 3_600.0
TEST_S_MAX = 900.0  # it takes 80 to 90 s on a quiet core, and several times that on a busy one
LOOP_S = 60.0
EVENTS = tuple(float(at) for at in range(5, 60, 10))
FPS = 5
START_S, DELAY_S = 100.0, 0.01
DRIFT_S_MAX = 0.020
PLAN = RecordingPlan(recording="rec", conversation="conv", canvas=Canvas(width=160, height=90), video_crf=40)


def sender_of_an_hour(skew_ppm: float) -> Sender:
    """A publisher that flashes and beeps every 10 s of its own clock."""
    sender = Sender("s1", Publisher(participant="ada", name="Ada"), start_s=START_S, skew_ppm=skew_ppm)
    loops = round(HOUR_S / LOOP_S)
    reports = Reports(every_s=5.0)
    sender.sound(opus_packets(LOOP_S, EVENTS) * loops, reports=reports)
    frames = video_frames(Codec.VP8, (160, 90), FPS, LOOP_S, EVENTS) * loops
    sender.video(frames, codec=Codec.VP8, fps=FPS, pipeline_s=0.03, reports=reports)
    return sender


@pytest.mark.slow
@pytest.mark.timeout(TEST_S_MAX)
@pytest.mark.parametrize("skew_ppm", [-100.0, 100.0])
def test_nothing_drifts_in_an_hour(skew_ppm: float) -> None:
    output, renderer = replay(PLAN, [sender_of_an_hour(skew_ppm)], until_s=START_S + HOUR_S + 2)
    init, *media = output.fragments
    last = [fragment for fragment in media if fragment.start_us >= (HOUR_S - LOOP_S) * 1e6]
    found = examine(init.data + b"".join(fragment.data for fragment in last))
    assert renderer.dropped() == {}
    assert min(len(found.flashes), len(found.beeps)) >= 4
    assert_no_drift(found, skew_ppm)


def assert_no_drift(found: Found, skew_ppm: float) -> None:
    """In the last minute, flashes and beeps are still together, and where true time has them."""
    events_s = np.array([HOUR_S - LOOP_S + at for at in EVENTS]) / (1 + skew_ppm * 1e-6)
    for what, times_s in (("flashes", found.flashes), ("beeps", found.beeps)):
        worst_s = max(float(np.min(np.abs(events_s - at_s))) for at_s in times_s)
        logger.info("%s at %+.0f ppm: at most %.1f ms off after an hour", what, skew_ppm, 1e3 * worst_s)
        assert worst_s <= DRIFT_S_MAX, (times_s, events_s)
