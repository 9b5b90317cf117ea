"""Sound and picture through real ICE, DTLS and RTP, whatever clocks, reports and networks do."""

from tests.support.live_call import Recorded, perform
from tests.sync.judging import Verdict, apart_ms, assert_in_sync, held_in_time, hold_and_judge, judge
from tests.sync.scenarios import CALL_S, CLEAN, LOSSY

P95_MS_CLEAN, MAX_MS_CLEAN = 20, 45
P95_MS_LOSSY, MAX_MS_LOSSY = 40, 90
SAME_BEEP_P95_MS = 40
SHORT_S = 5.5


async def test_in_sync_in_the_machines_own_time() -> None:
    scripts = CLEAN["two_drifting_clocks"]

    async def hold() -> Recorded:
        return await perform(scripts, SHORT_S)

    verdicts = judge({"real_time": scripts}, {"real_time": await held_in_time(hold)})
    assert_in_sync(verdicts, p95_ms=P95_MS_CLEAN, max_ms=MAX_MS_CLEAN, pairs=5)


def test_every_scenario_on_a_clean_link() -> None:
    verdicts = hold_and_judge(CLEAN, CALL_S)
    assert_in_sync(verdicts, p95_ms=P95_MS_CLEAN, max_ms=MAX_MS_CLEAN, pairs=6)
    assert_same_beeps(verdicts, "two_drifting_clocks", "one_is_60_ms_further_away")


def test_every_scenario_with_loss_jitter_and_reordering() -> None:
    verdicts = hold_and_judge(LOSSY, CALL_S)
    assert_in_sync(verdicts, p95_ms=P95_MS_LOSSY, max_ms=MAX_MS_LOSSY, pairs=5)
    assert_same_beeps(verdicts, "loss_and_jitter", "loss_jitter_and_60_ms_further_away")


def assert_same_beeps(verdicts: list[Verdict], *scenarios: str) -> None:
    """What two participants hear at the same instant is at the same instant in the recording."""
    for scenario in scenarios:
        assert apart_ms(verdicts, scenario) <= SAME_BEEP_P95_MS
