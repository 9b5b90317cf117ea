"""The ways in which sound and picture come apart elsewhere, one script each."""

from dataclasses import replace

from media.handover.encoded_frame import Codec
from tests.support.encoded_source import Reports
from tests.support.live_call import Script
from tests.support.lossy_link import Impairment

CALL_S = 9.0
LATE_S = 3.0

ADA = Script(name="ada", skew_ppm=100)
BOB = Script(name="bob", hertz=1700, skew_ppm=-100, codec=Codec.H264)


NEAR, FAR = Impairment(delay_s=0.01), Impairment(delay_s=0.07)  # one way


def lossy(delay_s: float = 0.02) -> Impairment:
    """5 % loss, and 60 ms of jitter above a delay, by which packets overtake each other."""
    return Impairment(loss=0.05, delay_s=delay_s, jitter_s=0.06)


CLEAN: dict[str, list[Script]] = {
    "two_drifting_clocks": [ADA, BOB],
    "one_is_60_ms_further_away": [replace(ADA, link=NEAR, back=NEAR), replace(BOB, link=FAR, back=FAR)],
    "sound_begins_3_s_later": [replace(ADA, sound=((LATE_S, 1e9),))],
    "pictures_begin_3_s_later": [replace(ADA, pictures=((LATE_S, 1e9),))],
    "muted_and_unmuted": [replace(ADA, sound=((0, 3), (5.5, 1e9)))],
    "camera_off_and_on": [replace(ADA, pictures=((0, 3), (5.5, 1e9)))],
    "leaves_and_comes_back": [ADA, replace(BOB, rejoins_at_s=4.0)],
    "slow_camera": [replace(ADA, pipeline_s=0.12)],
    "slow_camera_that_reports_late": [
        replace(
            ADA, pipeline_s=0.12, sound_reports=Reports(first_s=0.6), picture_reports=Reports(first_s=0.6)
        )
    ],
    "reports_missing": [replace(ADA, sound_reports=None, picture_reports=None)],
    "reports_of_one_missing": [replace(ADA, sound_reports=None)],
    "reports_late": [replace(ADA, sound_reports=Reports(first_s=5.0), picture_reports=Reports(first_s=5.0))],
    "reports_under_way_for_2_s": [
        replace(ADA, sound_reports=Reports(late_s=2.0), picture_reports=Reports(late_s=0.3))
    ],
    "reports_wrong_now_and_then": [
        replace(ADA, picture_reports=Reports(error_s=lambda at_s: 0.3 * (round(at_s) % 3 == 0)))
    ],
    "reports_that_jump_and_come_back": [
        replace(ADA, sound_reports=Reports(error_s=lambda at_s: 0.3 if 4.0 < at_s < 6.0 else 0.0))
    ],
}

LOSSY: dict[str, list[Script]] = {
    "loss_and_jitter": [replace(ADA, link=lossy()), replace(BOB, link=lossy())],
    "loss_jitter_and_60_ms_further_away": [
        replace(ADA, link=lossy(0.01), back=NEAR),
        replace(BOB, link=lossy(0.07), back=FAR),
    ],
    "loss_jitter_and_late_sound": [replace(ADA, link=lossy(), sound=((LATE_S, 1e9),))],
    "loss_jitter_and_no_reports": [replace(ADA, link=lossy(), sound_reports=None, picture_reports=None)],
    "loss_jitter_without_retransmission": [replace(BOB, link=lossy(), retransmission=False)],
}
