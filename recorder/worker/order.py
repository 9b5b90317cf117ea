"""The order that a worker process gets at its start. Pure."""

from datetime import datetime

import msgspec

from recorder.kernel.recording import RecordingPlan
from storage.spool.format import SpoolFacts


class WorkerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker process is told at its start."""

    plan: RecordingPlan
    spool: str  # the spool's root directory, absolute
    key: str  # where the object goes in the store
    content_type: str
    created_at: datetime
    store: str | None = None  # by id
    log_format: str = "text"
    log_level: str = "info"
    user: str = "nobody"  # to become, where this process may
    turn_ca_file: str | None = None  # PEM of who vouches for TURN over TLS, read before the walls are built

    @property
    def facts(self) -> SpoolFacts:
        """What is written down in the spool before anything else."""
        return SpoolFacts(
            recording=self.plan.recording,
            conversation=self.plan.conversation,
            key=self.key,
            content_type=self.content_type,
            created_at=self.created_at,
            store=self.store,
        )
