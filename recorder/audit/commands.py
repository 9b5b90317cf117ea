"""Commands in the audit log: what an account of the machine did without the API, also beside a server."""

import os
from collections.abc import Mapping
from functools import partial

from recorder.audit.log import rows_after
from recorder.database import Database
from recorder.database.audit import AuditTable
from recorder.kernel.audit.act import Act, Actor, ActorKind
from recorder.kernel.clock import Clock

STORAGE_MOVED = "storageMoved"
KEPT_GIVEN_UP = "keptGivenUp"


async def write_command(
    database: Database,
    clock: Clock,
    action: str,
    *,
    recording: str,
    conversation: str | None = None,
    details: Mapping[str, str],
) -> None:
    """Write at once that this process's account did it; the database's own errors."""
    act = Act(
        occurred_at=clock.utc_now(),
        action=action,
        actor=Actor(kind=ActorKind.COMMAND, id=f"uid {os.getuid()}"),
        conversation=conversation,
        recording=recording,
        details=dict(details),
    )
    await AuditTable(database).append(partial(rows_after, acts=[act]))
