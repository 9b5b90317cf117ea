"""`make bench` fails on what got worse, and only on that."""

from benchmarks import baseline


def test_only_what_is_worse_than_committed_by_more_than_its_share_fails() -> None:
    committed = {"a": 1.0, "b": 1.0, "c": 1.0, "not measured": 1.0}
    measured = {"a": 0.5, "b": 1.0 + baseline.WORSE_BY_MAX, "c": 1.001 + baseline.WORSE_BY_MAX, "new": 9.0}
    assert [line.partition(":")[0] for line in baseline.worse(measured, committed)] == ["c"]


def test_the_committed_figures_can_be_read_and_are_positive() -> None:
    assert min(baseline.read().values()) > 0
