"""Which instants are tried when."""

import pytest


def seeds(quick: int, all_of_them: int) -> list[object]:
    """The first few run in every test run, all of them in `make test-faults`."""
    return [
        seed if seed < quick else pytest.param(seed, marks=pytest.mark.faults) for seed in range(all_of_them)
    ]
