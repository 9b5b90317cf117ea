"""A sender's sound clock that stands still: silence where something is missing, and nothing else moves."""

from dataclasses import replace

from media.handover.encoded_frame import Codec
from tests.support.encoded_source import Reports
from tests.support.live_call import Script, event_times
from tests.support.lossy_link import Impairment
from tests.sync.judging import Verdict, assert_in_sync, hold_and_judge

SECONDS, EVERY_S = 9.0, 1.3
CUT_OFF_S = 0.3  # a beep that is not over when the call ends is none
P95_MS, MAX_MS = 20, 45
STUTTERS_MS = (20, 40, 100, 300)
SINGLE_MS = (20, 60, 150, 400, 1000)
RARE = Reports(first_s=2.5, every_s=5.0)  # as Chromium reports its voice
ADA = Script(name="ada", skew_ppm=100, sound_reports=RARE)
JITTERY = Impairment(loss=0.02, delay_s=0.03, jitter_s=0.04)


def stuttering(length_s: float) -> Script:
    """Stands still for so long every EVERY_S of its own sound."""
    return replace(ADA, stalls=tuple((EVERY_S * number, length_s) for number in range(1, 8)))


def stopping(length_s: float) -> Script:
    """Stands still once, in between two beeps."""
    return replace(ADA, stalls=((4.2, length_s),))


def scenarios() -> dict[str, list[Script]]:
    """Every kind of standing still, alone in its call."""
    made = {f"{length} ms every {EVERY_S} s": [stuttering(length / 1e3)] for length in STUTTERS_MS}
    made |= {f"{length} ms once": [stopping(length / 1e3)] for length in SINGLE_MS}
    made["40 ms, H.264"] = [replace(stuttering(0.04), codec=Codec.H264)]
    made["100 ms, no reports"] = [replace(stuttering(0.1), sound_reports=None, picture_reports=None)]
    made["100 ms, a jittery link"] = [replace(stuttering(0.1), link=JITTERY)]
    return made


def assert_all_beeps(verdicts: list[Verdict]) -> None:
    """Whatever was flashed and beeped while the call lasted is in the file."""
    for verdict in verdicts:
        (script,) = scenarios()[verdict.scenario]
        sent_s = [script.true_s(at_s) for at_s in event_times(SECONDS)]
        over = [at_s for at_s in sent_s if at_s < SECONDS - CUT_OFF_S]
        assert len(verdict.found.offsets_s) >= len(over), str(verdict)


def test_every_step_of_a_sound_clock_is_worked_in() -> None:
    verdicts = hold_and_judge(scenarios(), SECONDS)
    assert_all_beeps(verdicts)
    assert_in_sync(verdicts, p95_ms=P95_MS, max_ms=MAX_MS, pairs=8)
