"""`bystander recover`: brings to their end what killed servers and lost nodes left, without a server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from recorder.archive.archive import TAKE_UP_INTERVAL_S, left_behind
from recorder.archive.completion import complete
from recorder.audit.commands import KEPT_GIVEN_UP, write_command
from recorder.composition import open_core
from recorder.database import RecordingRow
from recorder.database.recordings import LAST_STATES
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from recorder.node.data_directory import DataDirectory, open_data_directory
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.reconciliation import ended, inherited
from recorder.settings.definitions import Settings
from recorder.stores.opening import Opened, opened
from recorder.worker.main import main as worker_main
from recorder.worker_pool.forkserver import Forkserver
from storage.errors import NOT_CONFIGURED
from storage.takeover.orphaned_uploads import clear_unfinished
from storage.upload.kept import MADE_AGAIN, MEDIA_MISSING, Kept, give_up, kept_because, kept_of, list_kept

UPLOAD_ELSEWHERE = "upload_elsewhere"  # what lies in the store is another's work
_LEFT_IN_STORE = (UPLOAD_ELSEWHERE, MADE_AGAIN, NOT_CONFIGURED)
_STORED_ANYWAY = (MEDIA_MISSING, MADE_AGAIN)


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What came of one recording; `done` unless it has to be looked after."""

    recording: str
    done: bool
    summary: str


async def recover_all(settings: Settings, report: Callable[[RecoveryReport], None]) -> bool:
    """Bring every recording to its end that has no worker any more; say what came of each. True when all did.

    Those of this data directory, and what lost nodes left. Each end is written down and told as a server
    would; doing it again finds nothing to do. server_running beside a server; the store's own errors when it
    does not answer.
    """
    async with _opened(settings) as dependencies:
        await dependencies.archive.default.check()
        survey = await dependencies.archive.survey()
        for recording, verdict in survey.verdicts.items():
            report(RecoveryReport(recording, True, f"without a spool: {verdict}"))
        for upload in survey.unknown:
            report(RecoveryReport(upload.key, True, "an upload of unknown origin, left alone"))
        found = {one.recording: one for one in await dependencies.archive.recover()}
        unfinished = {row.id: row for row in await dependencies.table.unfinished(dependencies.node)}
        for recording in left_behind(survey):
            if recording not in unfinished and (row := await inherited(recording, dependencies)) is not None:
                unfinished[recording] = row
        all_is_well = True
        finishing = []
        for recording in sorted({*found, *unfinished}):
            spool = found.get(recording)
            if spool is not None and spool.damage is not None and recording not in unfinished:
                report(RecoveryReport(recording, False, f"{spool.damage}: its spool is kept"))
                all_is_well = False
                continue
            if spool is not None and spool.ending is None and spool.damage is None:
                report(RecoveryReport(recording, True, "its worker still records"))
                continue
            finishing.append(_finished(recording, unfinished.get(recording), dependencies))
        for finished in asyncio.as_completed(finishing):
            outcome = await finished
            report(outcome)
            all_is_well = all_is_well and outcome.done
        for kept in await asyncio.to_thread(list_kept, dependencies.archive.spool):
            report(RecoveryReport(kept.recording, kept.reason in _STORED_ANYWAY, kept_summary(kept)))
        return all_is_well


async def give_up_kept(settings: Settings, recording: str, announce: Callable[[Kept], None]) -> None:
    """Remove what is kept of a recording, for good, and what its upload left unfinished in the store.

    Also beside a server. nothing_set_aside, and the store's own errors; whatever its object is stays.
    """
    async with opened(settings) as own:
        for kept in await _kept_of(own, recording):
            left_in_store = kept.key is not None and kept.reason not in _LEFT_IN_STORE
            place = await own.stores.of(kept.store) if left_in_store else None
            await asyncio.to_thread(give_up, kept, announce)
            if place is not None and kept.key is not None:
                await clear_unfinished(place.store, recording, kept.key)
            if own.database is not None:
                details = {"reason": kept.reason, "bytes": str(kept.size_bytes)}
                await write_command(
                    own.database, SystemClock(), KEPT_GIVEN_UP, recording=recording, details=details
                )


async def _kept_of(own: Opened, recording: str) -> list[Kept]:
    """Also a spool that waits for a store which the settings do not have any more."""
    root = own.root / "spool"
    try:
        return await asyncio.to_thread(kept_of, root, recording)
    except BystanderError as error:
        waiting = await asyncio.to_thread(kept_because, root, recording, NOT_CONFIGURED)
        if error.code != "nothing_set_aside" or waiting is None or await _is_configured(own, waiting):
            raise
        return [waiting]


async def _is_configured(own: Opened, kept: Kept) -> bool:
    try:
        await own.stores.of(kept.store)
    except BystanderError as error:
        if error.code != NOT_CONFIGURED:
            raise
        return False
    return True


def kept_summary(kept: Kept) -> str:
    """Why something is kept of a recording, how much, and where; pure."""
    where = "/".join(kept.directory.parts[-2:])
    return f"{kept.reason}: {kept.size_bytes} bytes are kept in {where}/ ({', '.join(kept.files)})"


async def _finished(
    recording: str, row: RecordingRow | None, dependencies: ActorDependencies
) -> RecoveryReport:
    """By the same life that a server would have it live."""
    if row is None:
        return await _shipped(recording, dependencies)
    live = await ended(row, dependencies)
    await live.run(lambda _: None)
    after = await dependencies.table.get(recording)
    failure = f" ({after.failure})" if after.failure else ""
    said = f"{after.object_key}: {after.bytes or 0} bytes, {after.state}, {after.end_reason}{failure}"
    stored = after.end_reason is not EndReason.ABORT_BLOBSTORE_FAILURE
    return RecoveryReport(recording, after.state in LAST_STATES and stored, said)


async def _shipped(recording: str, dependencies: ActorDependencies) -> RecoveryReport:
    try:
        stored = await complete(recording, dependencies.archive, dependencies.table, dependencies.clock)
    except BystanderError as error:
        return RecoveryReport(recording, False, f"{error.code}: {error.detail}")
    return RecoveryReport(recording, True, f"{stored.key}: {stored.size} bytes" if stored else "no media")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[ActorDependencies]:
    """What a server's recordings live by, without the server; no worker is launched."""
    data = await asyncio.to_thread(_data_directory, settings)
    async with AsyncExitStack() as stack:
        core = await open_core(settings, data, stack, Forkserver(worker_main), warm=False)
        yield core.dependencies


def _data_directory(settings: Settings) -> DataDirectory:
    try:
        return open_data_directory(Path(settings.server.data_dir))
    except BystanderError as error:
        if error.code != "data_dir_in_use":
            raise
        raise BystanderError(
            "server_running",
            "A server runs on this data directory. It completes what is left by itself: at its start, and"
            f" every {TAKE_UP_INTERVAL_S / 60:.0f} minutes what lost nodes left; its log says what.",
            fault=Fault.CALLER,
            status=409,
        ) from None
