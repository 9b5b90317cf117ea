"""Metrics of the audit log, read off it when /metrics is asked."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.audit.log import AuditLog


class AuditCollector(Collector):
    """What was written and lost since the start, and what waits."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "bystander_audit_entries", "Entries of the audit log that were written", value=self._log.written
        )
        yield CounterMetricFamily(
            "bystander_audit_entries_lost", "Acts that could not be kept", value=self._log.lost
        )
        yield GaugeMetricFamily(
            "bystander_audit_entries_waiting", "Acts not in the database yet", value=self._log.waiting
        )
        yield GaugeMetricFamily(
            "bystander_audit_failing", "1 while the audit log cannot be written", value=self._log.is_failing
        )
