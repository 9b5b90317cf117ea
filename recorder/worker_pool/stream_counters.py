"""Counters of what was received and lost, which stay when publishers leave and workers end.

Workers tell counts since each publisher joined; what is added here is what came since the last look.
"""

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter

from recorder.kernel.media import ParticipantStatistics, SourceKind
from recorder.kernel.recording import Statistics

FOUND_AFTER_S = 15.0  # a recording that is this long when it is first looked at was another server's before

_Session = tuple[str, SourceKind]


class StreamCounters:
    """One for each server; what a publisher lost after the last look before they left is not in it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._packets, self._lost, self._recovered = (
            Counter(f"bystander_rtp_packets_{name}", documentation, registry=registry)
            for name, documentation in (
                ("received", "RTP packets of publishers"),
                ("lost", "RTP packets that never came, also not sent again"),
                ("recovered", "RTP packets that came sent again"),
            )
        )
        self._dropped = Counter(
            "bystander_media_dropped", "What was received and not recorded", ["reason"], registry=registry
        )
        self._seen: dict[str, dict[_Session, ParticipantStatistics]] = {}

    def sampled(self, recording: str, statistics: Statistics) -> None:
        """Add what is new in a worker's counts."""
        before = self._seen.get(recording)
        now = {(one.participant, one.source): one for one in statistics.participants}
        self._seen[recording] = {**(before or {}), **now}
        if before is None and statistics.duration_s > FOUND_AFTER_S:
            return
        for session, counts in now.items():
            self._add(counts, (before or {}).get(session))

    def keep(self, recordings: set[str]) -> None:
        """Forget all others."""
        for recording in self._seen.keys() - recordings:
            del self._seen[recording]

    def _add(self, now: ParticipantStatistics, before: ParticipantStatistics | None) -> None:
        if before is None or now.packets < before.packets:  # the same person again, in a new session
            before = ParticipantStatistics(participant=now.participant, source=now.source)
        self._packets.inc(now.packets - before.packets)
        self._lost.inc(max(0, now.lost - before.lost))  # what comes late is lost no longer
        self._recovered.inc(max(0, now.recovered - before.recovered))
        for reason, count in (Tally(now.dropped) - Tally(before.dropped)).items():
            self._dropped.labels(reason).inc(count)
