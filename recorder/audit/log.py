"""The audit log of a running server: acts are noted at once and written in batches, off everybody's way."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice

from recorder.audit.bounds import bounded
from recorder.audit.chain import BEGINNING, chained, hash_of
from recorder.audit.repeats import Repeats
from recorder.database.audit import AuditRow, AuditTable
from recorder.kernel.audit.act import Act, Actor, ActorKind, AuditHead, Outcome
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault

WAITING_MAX = 10_000  # entries, some 10 MB: what a database that is away for a minute leaves
STRANGERS_WAITING_MAX = WAITING_MAX // 2  # of callers without a token: they push nobody else's entries out
BATCH_MAX = 500  # entries in one transaction: 20 ms of SQLite's write lock
GATHERED_FOR_S = 0.05  # between the first act and its transaction: others come along
COUNTED_FOR_S = 60.0  # on a quiet server: so late is told how often something was repeated
RETRY_S_FIRST = 0.5
RETRY_S_MAX = 30.0
LOST = "auditLost"  # the act whose `repeats` says how many were not kept

Listener = Callable[[AuditHead], Awaitable[None]]

_log = logging.getLogger(__name__)


class AuditLog:
    """Takes acts without waiting. `run` writes them until `end`, and then what is left.

    While the database refuses, acts wait; of more than WAITING_MAX the newest are lost, which is logged,
    counted, and said by an entry once there is a way to.
    """

    def __init__(self, table: AuditTable, clock: Clock, *, head_changed: Listener) -> None:
        """`head_changed` hears of the newest entry after each transaction."""
        self._table = table
        self._clock = clock
        self._head_changed = head_changed
        self._waiting: deque[Act] = deque()
        self._repeats = Repeats()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._batch = self._batch_loss = 0  # acts, and losses, that the transaction of now tells
        self._lost_untold = 0
        self.lost = 0
        self.written = 0
        self.is_failing = False

    @property
    def waiting(self) -> int:
        """How many acts are not in the database yet."""
        return len(self._waiting)

    def note(self, act: Act, *, is_countable: bool = False) -> None:
        """Take an act. Returns at once; of countable ones the same within a minute is counted."""
        act = bounded(act)
        self._queue(self._repeats.take(act) if is_countable else [act])

    def check(self) -> None:
        """Raises 503 audit_unavailable while acts cannot be written down."""
        if self.is_failing or len(self._waiting) >= WAITING_MAX:
            detail = "What is done here cannot be written down now, and so nothing may be done."
            raise BystanderError("audit_unavailable", detail, fault=Fault.RESOURCE, status=503)

    async def check_writing(self) -> None:
        """The same, for who asks whether this server is ready."""
        self.check()

    def end(self) -> None:
        """Have `run` write what is left, and return."""
        self._ended.set()
        self._arrived.set()

    async def run(self) -> None:
        """Write what is noted until `end`; then one last attempt at what is left."""
        while not self._ended.is_set():
            await self._gather()
            if not await self._write_all():
                await self._wait_for_database()
        self._queue(self._repeats.over(None))
        if not await self._write_all():
            _log.error("entries of the audit log are lost", extra={"entries": len(self._waiting)})

    async def _gather(self) -> None:
        if not self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(COUNTED_FOR_S):
                    await self._arrived.wait()
        self._arrived.clear()
        await self._pause(GATHERED_FOR_S)
        self._queue(self._repeats.over(self._clock.utc_now()))

    async def _write_all(self) -> bool:
        while self._waiting or self._lost_untold:
            try:
                rows = await self._table.append(self._following)
            except BystanderError as error:
                self._failed(error.code)
                return False
            self._succeeded(len(rows))
            await self._head_changed(_head(rows[-1]))
        return True

    def _following(self, newest: AuditRow | None) -> list[AuditRow]:
        acts = list(islice(self._waiting, BATCH_MAX))
        self._batch = len(acts)
        self._batch_loss = self._lost_untold if len(acts) == len(self._waiting) else 0
        return rows_after(newest, [*acts, self._loss()] if self._batch_loss else acts)

    def _loss(self) -> Act:
        return Act(
            occurred_at=self._clock.utc_now(),
            action=LOST,
            actor=Actor(kind=ActorKind.SERVER),
            outcome=Outcome.FAILED,
            details={"entries": str(self._batch_loss)},
        )

    def _succeeded(self, count: int) -> None:
        for _ in range(self._batch):
            self._waiting.popleft()
        self._lost_untold -= self._batch_loss
        self.written += count
        if self.is_failing:
            self.is_failing = False
            _log.info("the audit log can be written again")

    def _failed(self, code: str) -> None:
        if not self.is_failing:
            _log.error("the audit log cannot be written", extra={"code": code, "waiting": self.waiting})
        self.is_failing = True

    async def _wait_for_database(self) -> None:
        delay_s = RETRY_S_FIRST
        while not self._ended.is_set():
            await self._pause(delay_s)
            if await self._write_all():
                return
            delay_s = min(2 * delay_s, RETRY_S_MAX)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    def _queue(self, acts: list[Act]) -> None:
        for act in acts:
            self._put(act)

    def _put(self, act: Act) -> None:
        bound = STRANGERS_WAITING_MAX if act.actor.kind is ActorKind.NOBODY else WAITING_MAX
        if len(self._waiting) < bound:
            self._waiting.append(act)
        else:
            self._lose()
        self._arrived.set()

    def _lose(self) -> None:
        if self._lost_untold == 0:
            _log.error("the audit log loses entries: too many wait", extra={"waiting": self.waiting})
        self.lost += 1
        self._lost_untold += 1


def rows_after(newest: AuditRow | None, acts: list[Act]) -> list[AuditRow]:
    """These acts as rows that follow the newest one."""
    head = BEGINNING if newest is None else _head(newest)
    entries, _ = chained(head, acts)
    return [AuditRow(entry.sequence, entry.occurred_at, entry.conversation, line) for entry, line in entries]


def _head(row: AuditRow) -> AuditHead:
    return AuditHead(sequence=row.sequence, hash=hash_of(row.line))
