"""Many calls at once, each judged by its flashes and beeps.

They are held in simulated time, so nothing is judged but the receiver: a machine that is busy cannot keep a
sender from sending. `held_in_time` is for the calls that are about the machine's own time.
"""

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from media.check.av_offset import AvOffset
from tests.support.live_call import Recorded, Script, perform
from tests.support.simulated_time import simulate

logger = logging.getLogger(__name__)

SENDERS_LATE_S_MAX = 0.15  # a machine that keeps senders from sending in time says nothing about receiving
TRIES_MAX = 3


class SendersLateError(Exception):
    """The machine kept senders from sending in time, every time."""


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


def hold_and_judge(scenarios: Mapping[str, list[Script]], seconds: float) -> list[Verdict]:
    """Hold every call, all of them at once, and find every participant's flashes and beeps."""
    return judge(scenarios, simulate(_hold_all(scenarios, seconds)))


def judge(scenarios: Mapping[str, list[Script]], recorded: Mapping[str, Recorded]) -> list[Verdict]:
    """Find every participant's flashes and beeps."""
    return [
        Verdict(name, script.name, recorded[name].of(scripts, index))
        for name, scripts in scenarios.items()
        for index, script in enumerate(scripts)
    ]


async def held_in_time(hold: Callable[[], Awaitable[Recorded]]) -> Recorded:
    """Hold a call in the machine's time, and again, with a warning, where its senders were late.

    Raises SendersLateError when they always were: that is no verdict about what receives.
    """
    late_s = []
    for _ in range(TRIES_MAX):
        recorded = await hold()
        if recorded.late_s <= SENDERS_LATE_S_MAX:
            return recorded
        late_s.append(f"{recorded.late_s:.2f} s")
        warnings.warn(f"a call is not judged: its sender was {late_s[-1]} late", stacklevel=2)
    raise SendersLateError(f"senders were late in every call: {', '.join(late_s)}")


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
    apart = float(np.percentile([1e3 * min(abs(a - b) for b in two) for a in one], 95))
    logger.info("%s: the same beep is at most %.1f ms apart (p95)", scenario, apart)
    return apart


async def _hold_all(scenarios: Mapping[str, list[Script]], seconds: float) -> dict[str, Recorded]:
    async with asyncio.TaskGroup() as calls:
        tasks = {
            name: calls.create_task(perform(scripts, seconds, seed=number))
            for number, (name, scripts) in enumerate(scenarios.items(), 1)
        }
    return {name: task.result() for name, task in tasks.items()}
