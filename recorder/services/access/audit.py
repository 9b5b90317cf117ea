"""The audit log as callers know it."""

from collections.abc import AsyncIterator

from recorder.audit.chain import BEGINNING, hash_of
from recorder.audit.log import AuditLog
from recorder.audit.verification import rows
from recorder.database.audit import AuditTable
from recorder.kernel.audit.act import Act, AuditHead, AuditSearch
from recorder.settings.definitions import AuditSettings, WhenAuditFails


class AuditService:
    """Fulfils signaling.audit_port.Audit."""

    def __init__(self, log: AuditLog, table: AuditTable, settings: AuditSettings) -> None:
        self._log = log
        self._table = table
        self._refuses = settings.when_failing is WhenAuditFails.REFUSE
        self.notes_reads = settings.reads

    def note(self, act: Act, *, is_countable: bool = False) -> None:
        self._log.note(act, is_countable=is_countable)

    def check(self) -> None:
        if self._refuses:
            self._log.check()

    async def head(self) -> AuditHead:
        newest = await self._table.newest()
        if newest is None:
            return BEGINNING
        return AuditHead(sequence=newest.sequence, hash=hash_of(newest.line))

    async def lines(self, search: AuditSearch) -> AsyncIterator[str]:
        async for row in rows(self._table, search):
            yield row.line
