"""Metrics of webhooks; labels are stable codes, so their number is bounded."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_DELAY_BUCKETS_S = (0.1, 0.5, 1, 5, 30, 300, 3600, 6 * 3600, 24 * 3600)


class WebhookMetrics:
    """One for each server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "bystander_webhook_attempts",
            "Attempts to tell a webhook, by what came of them.",
            ["outcome"],
            registry=registry,
        )
        self._delay = Histogram(
            "bystander_webhook_delay_seconds",
            "Time from an event to its being taken.",
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        )

    def attempted(self, failure: str | None, *, since_event_s: float) -> None:
        """`failure` is the outcome's code; None: the event was taken."""
        self._attempts.labels(failure or "taken").inc()
        if failure is None:
            self._delay.observe(since_event_s)
