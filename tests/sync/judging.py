"""Many calls at once, each judged by its flashes and beeps."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from media.av_offset import AvOffset
from tests.support.live_call import Recorded, Script, perform

logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 5  # a third of a core: what more would disturb is the senders' own timing
SENDERS_LATE_S_MAX = 0.15  # a machine that keeps senders from sending in time says nothing about receiving
TRIES_MAX = 3


@dataclass(frozen=True)
class Verdict:
    """What was found of one participant of one scenario; times in milliseconds."""

    scenario: str
    participant: str
    found: AvOffset

    def __str__(self) -> str:
        offsets = " ".join(f"{offset * 1e3:.0f}" for offset in self.found.offsets_s)
        p95, worst = self.found.p95_s * 1e3, self.found.max_s * 1e3
        return f"{self.scenario:36} {self.participant:4} p95 {p95:5.1f} max {worst:5.1f}  [{offsets}]"


async def record_all(scenarios: Mapping[str, list[Script]], seconds: float) -> dict[str, Recorded]:
    """Hold every call, CALLS_AT_ONCE at a time."""
    seats = asyncio.Semaphore(CALLS_AT_ONCE)

    async def hold(number: int, scripts: list[Script]) -> Recorded:
        async with seats:
            for _ in range(TRIES_MAX):
                recorded = await perform(scripts, seconds, seed=number)
                if recorded.late_s <= SENDERS_LATE_S_MAX:
                    break
                logger.warning("the senders were up to %.2f s late", recorded.late_s)
            return recorded

    async with asyncio.TaskGroup() as calls:
        tasks = {
            name: calls.create_task(hold(number, scripts))
            for number, (name, scripts) in enumerate(scenarios.items(), 1)
        }
    return {name: task.result() for name, task in tasks.items()}


def judge(scenarios: Mapping[str, list[Script]], recorded: Mapping[str, Recorded]) -> list[Verdict]:
    """Find every participant's flashes and beeps."""
    return [
        Verdict(name, script.name, recorded[name].of(scripts, index))
        for name, scripts in scenarios.items()
        for index, script in enumerate(scripts)
    ]


def assert_in_sync(verdicts: list[Verdict], *, p95_ms: float, max_ms: float, pairs: int) -> None:
    """Every participant of every scenario is within the bounds, over enough flashes that have a beep."""
    table = "\n".join(map(str, verdicts))
    logger.info("\n%s", table)
    for verdict in verdicts:
        assert len(verdict.found.offsets_s) >= pairs, table
        assert verdict.found.p95_s * 1e3 <= p95_ms, table
        assert verdict.found.max_s * 1e3 <= max_ms, table


def apart_ms(verdicts: list[Verdict], scenario: str) -> float:
    """The 95th percentile of how far two participants' recordings of the same beep are apart."""
    one, two = (verdict.found.beeps_s for verdict in verdicts if verdict.scenario == scenario)
    return float(np.percentile([1e3 * min(abs(a - b) for b in two) for a in one], 95))
