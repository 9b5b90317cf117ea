"""A call whose sender was late is no verdict: it is held again and said, and never judged after all."""

import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import pytest

from tests.support.live_call import Recorded
from tests.sync.judging import SENDERS_LATE_S_MAX, TRIES_MAX, SendersLateError, held_in_time


@dataclass
class Call:
    """What held_in_time looks at of a recorded call."""

    late_s: float


def calls(*late_s: float) -> Callable[[], Awaitable[Recorded]]:
    """Each call's sender is so late, one after the other."""
    following = iter(late_s)

    async def hold() -> Recorded:
        return cast(Recorded, Call(next(following)))

    return hold


async def test_a_call_whose_sender_was_in_time_is_judged_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (await held_in_time(calls(SENDERS_LATE_S_MAX))).late_s == SENDERS_LATE_S_MAX


async def test_a_call_that_is_held_again_is_told() -> None:
    with pytest.warns(UserWarning, match=r"not judged: its sender was 0\.90 s late"):
        assert (await held_in_time(calls(0.9, 0.0))).late_s == 0.0


async def test_senders_that_are_always_late_end_as_an_error_of_their_own() -> None:
    with pytest.warns(UserWarning, match="not judged"), pytest.raises(SendersLateError, match=r"0\.50 s"):
        await held_in_time(calls(*[0.5] * TRIES_MAX, 0.0))
