"""The audit log's own retention: the oldest entries go, and one that stays says up to where."""

import asyncio
import logging
from datetime import timedelta

from recorder.audit.chain import EXPIRED, expired_details, hash_of
from recorder.audit.log import rows_after
from recorder.database.audit import AuditRow, AuditTable
from recorder.deletion.clock_watch import ClockWatch
from recorder.kernel.audit.act import Act, Actor, ActorKind, AuditHead
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError

LOOK_EVERY_S = 3600.0  # a policy counts in days
WATCH_FILE = "audit-clock.json"

_log = logging.getLogger(__name__)


class AuditExpiry:
    """Removes what is older than so many days, unless the clock cannot be trusted."""

    def __init__(self, table: AuditTable, clock: Clock, days: int, watch: ClockWatch | None = None) -> None:
        self._table = table
        self._clock = clock
        self._age = timedelta(days=days)
        self._watch = watch

    async def apply(self) -> int | None:
        """The sequence of the last entry that went; None where nothing was old enough."""
        if self._watch is not None and await self._watch.doubt() is not None:
            _log.error("no audit entry expires: the clock may have jumped")
            return None
        last = await self._table.expire(self._clock.utc_now() - self._age, self._following)
        if last is not None:
            _log.info("audit entries expired", extra={"through": last.sequence})
        return None if last is None else last.sequence

    async def apply_forever(self) -> None:
        """Now and every hour."""
        while True:
            try:
                await self.apply()
            except BystanderError as error:
                _log.error("audit entries could not expire", extra={"code": error.code})
            await asyncio.sleep(LOOK_EVERY_S)

    def _following(self, newest: AuditRow, last: AuditRow) -> list[AuditRow]:
        gone = AuditHead(sequence=last.sequence, hash=hash_of(last.line))
        act = Act(
            occurred_at=self._clock.utc_now(),
            action=EXPIRED,
            actor=Actor(kind=ActorKind.SERVER),
            details=expired_details(gone),
        )
        return rows_after(newest, [act])
