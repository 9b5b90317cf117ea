"""The backlog by the rate of the last minutes: in simulated time."""

from storage.upload.backlog import WINDOW_S, Backlog, BacklogMeter, Look

KIB = 1024


def test_nothing_is_known_before_two_looks() -> None:
    meter = BacklogMeter()
    assert meter.now == Backlog(0, 0.0, None)
    assert meter.look(Look(0, 500, 0, 10_000)) == Backlog(500, None, None)


def test_what_waits_is_said_in_seconds_of_the_link_and_of_the_disk() -> None:
    """20 KiB/s go out, 60 KiB/s come in: what waits grows, and the disk has room for so long."""
    meter, free = BacklogMeter(), 3600 * 60 * KIB
    for second in range(0, 601, 10):
        found = meter.look(Look(second, second * 40 * KIB, second * 20 * KIB, free - second * 60 * KIB))
    assert found.drained_in_s == 600 * 40 / 20
    assert found.disk_full_in_s == 3600 - 600


def test_a_link_that_stands_still_has_no_rate_and_a_disk_that_empties_no_end() -> None:
    meter = BacklogMeter()
    meter.look(Look(0, 1000, 700, 10_000))
    assert meter.look(Look(60, 1000, 700, 20_000)) == Backlog(1000, None, None)


def test_only_the_last_minutes_count() -> None:
    meter = BacklogMeter()
    meter.look(Look(0, 0, 0, 10**9))
    meter.look(Look(10, 0, 10**6, 10**6))
    last = WINDOW_S + 10
    assert meter.look(Look(last, 900, 10**6 + 9 * 300, 10**6)) == Backlog(900, 100.0, None)
