"""What signaling needs of the audit log: a place to note acts, and what stands in it."""

from collections.abc import AsyncIterator
from typing import Protocol

from recorder.kernel.audit.act import Act, AuditHead, AuditSearch


class Audit(Protocol):
    """The audit log. Nobody waits for it."""

    @property
    def notes_reads(self) -> bool:
        """Whether what is only looked at is noted, too."""
        ...

    def note(self, act: Act, *, is_countable: bool = False) -> None:
        """Keep an act; of countable ones the same within a minute is counted."""
        ...

    def check(self) -> None:
        """503 audit_unavailable where nothing may be done that cannot be written down, and it cannot be."""
        ...

    async def head(self) -> AuditHead:
        """The newest entry."""
        ...

    def lines(self, search: AuditSearch) -> AsyncIterator[str]:
        """The entries that are looked for, as they were hashed, in their order."""
        ...
