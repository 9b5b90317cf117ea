"""The audit log as signaling's tests hold it: a list of acts."""

from collections.abc import AsyncIterator

from recorder.kernel.audit.act import Act, AuditHead, AuditSearch
from recorder.kernel.errors import BystanderError, Fault


class FakeAudit:
    """Fulfils signaling.audit_port.Audit; `fails` as a log that cannot be written, and has to be."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.countable: list[bool] = []
        self.exported: list[str] = []
        self.notes_reads = True
        self.fails = False

    def note(self, act: Act, *, is_countable: bool = False) -> None:
        self.acts.append(act)
        self.countable.append(is_countable)

    def check(self) -> None:
        if self.fails:
            raise BystanderError("audit_unavailable", "Not now.", fault=Fault.RESOURCE, status=503)

    async def head(self) -> AuditHead:
        return AuditHead(sequence=len(self.exported), hash="0" * 64)

    async def lines(self, search: AuditSearch) -> AsyncIterator[str]:
        for line in self.exported[search.after :]:
            yield line
