"""Sound and picture through real ICE, DTLS and RTP, whatever clocks, reports and networks do."""

import pytest

from tests.sync.judging import apart_ms, assert_in_sync, judge, record_all
from tests.sync.scenarios import CALL_S, CLEAN, LOSSY, QUICK

P95_MS_CLEAN, MAX_MS_CLEAN = 20, 45
P95_MS_LOSSY, MAX_MS_LOSSY = 40, 90
SAME_BEEP_P95_MS = 40


async def test_in_sync_on_a_clean_and_on_a_bad_link() -> None:
    recorded = await record_all(QUICK, 5.5)
    clean = {name: scripts for name, scripts in QUICK.items() if name in CLEAN}
    lossy = {name: scripts for name, scripts in QUICK.items() if name in LOSSY}
    verdicts = judge(clean, recorded)
    assert_in_sync(verdicts, p95_ms=P95_MS_CLEAN, max_ms=MAX_MS_CLEAN, pairs=2)
    assert apart_ms(verdicts, "two_drifting_clocks") <= SAME_BEEP_P95_MS
    assert_in_sync(judge(lossy, recorded), p95_ms=P95_MS_LOSSY, max_ms=MAX_MS_LOSSY, pairs=5)


@pytest.mark.slow
async def test_every_scenario_on_a_clean_link() -> None:
    verdicts = judge(CLEAN, await record_all(CLEAN, CALL_S))
    assert_in_sync(verdicts, p95_ms=P95_MS_CLEAN, max_ms=MAX_MS_CLEAN, pairs=6)
    assert apart_ms(verdicts, "two_drifting_clocks") <= SAME_BEEP_P95_MS


@pytest.mark.slow
async def test_every_scenario_with_loss_jitter_and_reordering() -> None:
    verdicts = judge(LOSSY, await record_all(LOSSY, CALL_S))
    assert_in_sync(verdicts, p95_ms=P95_MS_LOSSY, max_ms=MAX_MS_LOSSY, pairs=5)
    assert apart_ms(verdicts, "loss_and_jitter") <= SAME_BEEP_P95_MS
