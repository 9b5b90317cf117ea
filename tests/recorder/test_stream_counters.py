"""Counts of streams that outlive their publishers: a rate of loss is told when they have left."""

from prometheus_client import CollectorRegistry

from recorder.kernel.media import ParticipantStatistics, SourceKind
from recorder.kernel.recording import RecordingState, Statistics
from recorder.worker_pool.stream_counters import FOUND_AFTER_S, StreamCounters


def told(*counts: tuple[str, int, int], duration_s: float = 5.0, **dropped: int) -> Statistics:
    participants = [
        ParticipantStatistics(
            participant=who, source=SourceKind.CAMERA, packets=packets, lost=lost, dropped=dropped
        )
        for who, packets, lost in counts
    ]
    return Statistics(state=RecordingState.RECORDING, duration_s=duration_s, participants=participants)


class Watched:
    """Counters, and what /metrics says of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counters = StreamCounters(self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"bystander_{name}_total", labels)


def test_what_left_stays_counted() -> None:
    watched = Watched()
    watched.counters.sampled("rec", told(("ada", 100, 3), ("bob", 50, 0)))
    watched.counters.sampled("rec", told(("bob", 80, 2)))
    watched.counters.keep(set())
    assert (watched.value("rtp_packets_received"), watched.value("rtp_packets_lost")) == (180, 5)


def test_who_comes_again_is_counted_from_the_beginning() -> None:
    watched = Watched()
    watched.counters.sampled("rec", told(("ada", 100, 3)))
    watched.counters.sampled("rec", told(("ada", 10, 1)))
    assert watched.value("rtp_packets_received") == 110


def test_what_an_earlier_server_counted_is_not_counted_again() -> None:
    watched = Watched()
    watched.counters.sampled("rec", told(("ada", 1_000, 3), duration_s=FOUND_AFTER_S + 1))
    watched.counters.sampled("rec", told(("ada", 1_010, 4), duration_s=FOUND_AFTER_S + 6))
    assert (watched.value("rtp_packets_received"), watched.value("rtp_packets_lost")) == (10, 1)


def test_a_packet_that_comes_late_takes_nothing_back() -> None:
    watched = Watched()
    watched.counters.sampled("rec", told(("ada", 100, 3), late=2))
    watched.counters.sampled("rec", told(("ada", 101, 2), late=5))
    assert watched.value("rtp_packets_lost") == 3
    assert watched.value("media_dropped", reason="late") == 5
