"""Metrics of recordings: read off the live ones when /metrics is asked, and counted where things end."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.archive.archive import Archive
from recorder.archive.backlog_watch import BacklogWatch
from recorder.kernel.clock import Clock
from recorder.kernel.recording import RecordingState, Statistics
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase
from recorder.worker_pool.admission import Budget
from recorder.worker_pool.occupancy import Occupancy
from storage.upload.backlog import Backlog

START_BUCKETS_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)


class RecordingMetrics:
    """Counters and histograms of what happened, for as long as this server runs."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._start_seconds = Histogram(
            "bystander_recording_start_seconds",
            "From the request to a recording that takes publishers",
            buckets=START_BUCKETS_S,
            registry=registry,
        )
        self._over = Counter(
            "bystander_recordings_over",
            "Recordings that reached their last state",
            ["state", "end_reason"],
            registry=registry,
        )
        self._stored_bytes = Counter(
            "bystander_stored_bytes", "Bytes of recordings verified in the store", registry=registry
        )
        self._recorded_seconds = Counter(
            "bystander_recorded_seconds", "Duration of recordings that are over", registry=registry
        )

    def changed(self, actor: RecordingActor, before: Phase | None) -> None:
        """Count what a recording has come to; a Listener."""
        if before is Phase.LAUNCHING and actor.phase is Phase.READY:
            took = self._clock.utc_now() - actor.row.requested_at
            self._start_seconds.observe(max(0.0, took.total_seconds()))
        if actor.phase.is_last and before is not actor.phase:
            self._count(actor)

    def _count(self, actor: RecordingActor) -> None:
        row = actor.row
        self._over.labels(row.state, row.end_reason or "").inc()
        self._recorded_seconds.inc(row.duration_s or 0)
        if row.state is RecordingState.AVAILABLE:
            self._stored_bytes.inc(row.bytes or 0)


class RecordingCollector(Collector):
    """Gauges of what runs now, from the workers' last statistics."""

    def __init__(
        self,
        recordings: Iterable[RecordingActor],
        archive: Archive,
        backlog: BacklogWatch,
        clock: Clock,
        room: Callable[[], tuple[Budget, Occupancy]],
    ) -> None:
        self._recordings = recordings
        self._archive = archive
        self._backlog = backlog
        self._room = room
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        live = list(self._recordings)
        states = GaugeMetricFamily("bystander_recordings", "Recordings that are not over", labels=["state"])
        tally = Tally(one.phase.state for one in live)
        for state in RecordingState:
            if state not in (RecordingState.AVAILABLE, RecordingState.FAILED):
                states.add_metric([state], tally[state])
        yield states
        yield GaugeMetricFamily(
            "bystander_uploads_waiting_for_store",
            "Uploads that the store keeps waiting",
            value=self._archive.waiting_for_store(),
        )
        yield from _of_storage(self._archive, self._clock.monotonic_ns() / 1e9)
        yield from _of_backlog(self._backlog.now)
        yield from _of_room(*self._room())
        yield from _of_workers(
            [one.worker.statistics for one in live if one.worker and one.worker.statistics]
        )


def _of_room(budget: Budget, occupancy: Occupancy) -> Iterator[Metric]:
    for name, documentation, value in (
        ("recording_cores", "Cores that all recordings take", occupancy.cores),
        ("recording_cores_max", "Cores beyond which no new recording begins", budget.cores_max),
        ("recordings_max", "Recordings beyond which no new one begins", budget.recordings_max),
    ):
        yield GaugeMetricFamily(f"bystander_{name}", documentation, value=value)


def _of_backlog(backlog: Backlog) -> Iterator[Metric]:
    """Without a value while nothing is sent, and while the disk does not get fuller."""
    for name, documentation, value in (
        (
            "upload_backlog_seconds",
            "How long the backlog takes at the rate of the last minutes",
            backlog.drained_in_s,
        ),
        (
            "spool_disk_full_seconds",
            "When the spools' disk is full, at the rate of the last minutes",
            backlog.disk_full_in_s,
        ),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"bystander_{name}", documentation, value=value)


def _of_storage(archive: Archive, now_s: float) -> Iterator[Metric]:
    oldest_s, free = archive.stalled_s(), archive.disk_free_bytes()
    for name, documentation, value in (
        (
            "upload_backlog_bytes",
            "Recorded bytes that the store has not acknowledged",
            archive.backlog_bytes(),
        ),
        (
            "upload_backlog_age_seconds",
            "How long the oldest of the backlog has waited, at least",
            archive.backlog_age_s(now_s),
        ),
        (
            "upload_stalled_seconds",
            "How long the upload that waits longest has waited for the store",
            oldest_s,
        ),
        (
            "spools_kept",
            "Spools that stay because nothing proves that the store has them",
            len(archive.kept()),
        ),
        ("spool_disk_free_bytes", "What the spools' disk has room for", free),
    ):
        yield GaugeMetricFamily(f"bystander_{name}", documentation, value=value)


def _of_workers(workers: list[Statistics]) -> Iterator[Metric]:
    sources = [participant for worker in workers for participant in worker.participants]
    lag_s = max((worker.spool_lag_s for worker in workers), default=0.0)
    for name, documentation, value in (
        ("workers", "Worker processes that told their statistics", len(workers)),
        ("publishers", "Sessions that publish now", len(sources)),
        ("worker_cpu_seconds", "CPU time of running workers", sum(w.cpu_s for w in workers)),
        ("worker_resident_bytes", "Memory of running workers", sum(w.rss_bytes for w in workers)),
        ("worker_spool_bytes", "Bytes written by running workers", sum(w.bytes_written for w in workers)),
        (
            "recordings_degraded",
            "Recordings with fewer or poorer pictures than set: the machine cannot do more",
            sum(w.frame_rate_divisor > 1 or not w.thorough for w in workers),
        ),
        (
            "recordings_narrow",
            "Recordings coded with fewer columns of pixels than shown: nor with fewer pictures",
            sum(w.resolution_divisor > 1 for w in workers),
        ),
        ("spool_lag_seconds", "Age of the oldest media not yet in a spool", lag_s),
        ("packets_received", "RTP packets of present publishers", sum(s.packets for s in sources)),
        ("packets_lost", "Never received, of present publishers", sum(s.lost for s in sources)),
        ("packets_recovered", "Received by retransmission", sum(s.recovered for s in sources)),
    ):
        yield GaugeMetricFamily(f"bystander_{name}", documentation, value=value)
    yield _dropped([worker.dropped for worker in workers] + [source.dropped for source in sources])


def _dropped(counts: list[dict[str, int]]) -> Metric:
    tally: Tally[str] = Tally()
    for count in counts:
        tally.update(count)
    family = GaugeMetricFamily("bystander_dropped", "What running workers dropped", labels=["reason"])
    for reason, number in sorted(tally.items()):
        family.add_metric([reason], number)
    return family
