"""The store of a real call is gone for a while: nobody notices, and the same object is completed."""

import os
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.outage import DURATION_OFF_S_MAX, HOWS, endure

OUTAGE_S = float(os.environ.get("BYSTANDER_TEST_OUTAGE_S", "10"))  # 3600: the hour, by the clock
BEFORE_S, AFTER_S = 10.0, 3.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(OUTAGE_S + 900)]


@pytest.mark.parametrize("how", HOWS)
async def test_the_store_of_a_call_is_gone(how: str, tmp_path: Path, figure: Figure) -> None:
    endured = await endure(
        tmp_path, how, before_s=BEFORE_S, outage_s=OUTAGE_S, after_s=AFTER_S, told=lambda line: None
    )
    assert endured.parts_before >= 1
    assert endured.valid
    assert endured.same_key
    assert abs(endured.duration_s - endured.call_s) <= DURATION_OFF_S_MAX
    fault = f"store of a call {how} for {OUTAGE_S:.0f} s"
    figure(fault, "media lost, s", endured.call_s - endured.duration_s)
    figure(fault, "from the end to the verified object, s", endured.to_verified_s)
    figure(fault, "memory that the server grew by, MiB", endured.memory_after_mib - endured.memory_before_mib)
