"""`bystander recover`: completes what is not in the store yet, without a server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.clock import SystemClock
from recorder.data_directory import open_data_directory
from recorder.errors import BystanderError
from recorder.finalising import finalise_init, finalise_init_grown
from recorder.settings import Settings
from recorder.shipping import node_lease
from storage.objects import ObjectStore, open_store
from storage.uploader import Recovered, Uploader


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one recording; `done` unless it has to be looked after."""

    recording: str
    done: bool
    told: str


async def recover_all(settings: Settings, told: Callable[[Outcome], None]) -> bool:
    """Take up every spool, and every upload that is ours; say what came of each. True when all is well.

    The next server's start finds the receipts, and makes the recordings AVAILABLE. data_dir_in_use while a
    server runs, which does all this by itself; the store's own errors when it does not answer.
    """
    data = await asyncio.to_thread(open_data_directory, Path(settings.server.data_dir))
    clock = SystemClock()
    store = open_store(settings.storage, data_dir=data.root)
    lease = await node_lease(store, settings.storage, data, clock)
    uploader = Uploader(
        store,
        data.spool,
        clock,
        settings.storage,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
        lease=lease,
    )
    try:
        return await _recover(store, uploader, told)
    finally:
        await uploader.close()
        await store.close()


async def _recover(store: ObjectStore, uploader: Uploader, told: Callable[[Outcome], None]) -> bool:
    await store.check()
    survey = await uploader.take_up()
    for recording, verdict in survey.verdicts.items():
        told(Outcome(recording, True, f"without a spool: {verdict}"))
    for upload in survey.unknown:
        told(Outcome(upload.key, True, "an upload of unknown origin, left alone"))
    finishing = [_finished(uploader, found) for found in await uploader.recover()]
    all_is_well = True
    for finished in asyncio.as_completed(finishing):
        outcome = await finished
        told(outcome)
        all_is_well = all_is_well and outcome.done
    return all_is_well


async def _finished(uploader: Uploader, found: Recovered) -> Outcome:
    recording = found.facts.recording
    if found.ending is None:
        return Outcome(recording, True, "its worker still records")
    try:
        stored = await uploader.finish(recording)
    except BystanderError as error:
        return Outcome(recording, error.code == "recording_empty", f"{error.code}: {error.detail}")
    return Outcome(recording, True, f"{stored.key}: {stored.size} bytes, {found.ending.reason}")
