"""The opening of the audit log with a server: what writes it, notes its head, and lets it expire."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from recorder.audit.expiry import WATCH_FILE, AuditExpiry
from recorder.audit.heads import FILE, NotedHeads
from recorder.audit.log import AuditLog
from recorder.audit.metrics import AuditCollector
from recorder.database import Database
from recorder.database.audit import AuditTable
from recorder.deletion.clock_watch import ClockWatch
from recorder.kernel.audit.act import Act, Actor, ActorKind
from recorder.kernel.clock import Clock
from recorder.node.background_task import BackgroundTask
from storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class OpenedAudit:
    """A log that is written for as long as the server runs."""

    log: AuditLog
    table: AuditTable
    tasks: list[BackgroundTask]  # begun already; for who asks whether all runs


async def open_audit(
    database: Database,
    store: ObjectStore,
    clock: Clock,
    stack: AsyncExitStack,
    registry: CollectorRegistry,
    *,
    root: Path,
    node: str,
    retention_days: int | None,
) -> OpenedAudit:
    """Begin to write. `stack` ends it after whatever is opened later, once all that was noted is written."""
    table = AuditTable(database)
    heads = NotedHeads(root / FILE, store, node, clock)
    log = AuditLog(table, clock, head_changed=heads.changed)
    registry.register(AuditCollector(log))
    tasks = [
        BackgroundTask("audit log", log.run, ask_to_end=log.end),
        BackgroundTask("audit heads", heads.store_for_good),
    ]
    if retention_days is not None:
        watch = ClockWatch(clock, store, root / WATCH_FILE)
        expiry = AuditExpiry(table, clock, retention_days, watch)
        tasks.append(BackgroundTask("audit expiry", expiry.apply_forever))
    stack.push_async_callback(heads.store_newest)
    for task in tasks:
        task.start()
    for task in tasks:
        stack.push_async_callback(task.stop)
    server = Actor(kind=ActorKind.SERVER, id=node)
    log.note(Act(occurred_at=clock.utc_now(), action="serverStarted", actor=server))
    stack.callback(lambda: log.note(Act(occurred_at=clock.utc_now(), action="serverStopped", actor=server)))
    return OpenedAudit(log, table, tasks)
