"""Waiting times double up to a maximum, with jitter that a seed repeats."""

from hypothesis import given
from hypothesis import strategies as st

from storage.upload.backoff import Backoff


@given(st.integers(0, 2**32), st.integers(1, 80))
def test_waiting_times_double_up_to_the_maximum(seed: int, failures: int) -> None:
    backoff = Backoff(initial_s=0.5, max_s=30.0, seed=seed)
    waits = [backoff.failed() for _ in range(failures)]
    for attempt, wait in enumerate(waits):
        whole = min(30.0, 0.5 * 2.0**attempt)
        assert whole / 2 <= wait <= whole
    backoff.succeeded()
    assert backoff.failed() <= 0.5


def test_one_seed_gives_one_sequence_and_others_others() -> None:
    def waits(seed: str) -> list[float]:
        backoff = Backoff(initial_s=1.0, max_s=30.0, seed=seed)
        return [backoff.failed() for _ in range(5)]

    assert waits("a") == waits("a") != waits("b")
