"""What a server has of storage: an archive over one store or two, as a node composes it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recorder.archive.archive import Archive
from recorder.archive.store_shipping import StoreShipping
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.stores.named_stores import NamedStore, NamedStores
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.takeover.lease import NodeLease
from storage.upload.recording_upload import StallReason
from storage.upload.uploader import StoredObject, Survey, Uploader
from tests.faults.recorded import STORE_IDS, Recording
from tests.storage.test_upload_machine import Told, filled, grown

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class NodeSettings:
    """Of one node, at one start. `configured`: which of the stores its settings have, the default first."""

    name: str
    storage: StorageSettings
    adopts: bool  # the stores take its spools' files over
    configured: tuple[int, ...] = (0,)
    replaces_parts: bool = False
    seed: int = 0


class Node:
    """A node that runs. Errors are those of the archive."""

    def __init__(
        self, stores: Sequence[ObjectStore], root: Path, clock: Clock, settings: NodeSettings, sleep: Sleep
    ) -> None:
        """`stores` are all that there are."""
        self._uploaders: list[Uploader] = []
        shipping = []
        for number in settings.configured:
            named = NamedStore(STORE_IDS[number], f"store {number}", settings.storage, stores[number])
            self._uploaders.append(_uploader(stores[number], root, clock, settings, sleep))
            shipping.append(StoreShipping(named, self._uploaders[-1]))
        self._archive = Archive(NamedStores([one.place for one in shipping]), shipping, root)

    async def start(self) -> None:
        """Take up what lost nodes left, as far as the stores answer, and what lies in the spools."""
        with suppress(BystanderError):  # a store that does not answer is asked again later
            await self.survey()
        await self._archive.recover()

    async def survey(self) -> Survey:
        return await self._archive.survey()

    def grew(self, recording: Recording) -> None:
        with suppress(BystanderError):
            self._archive.grew(recording.id, recording.store)

    async def finish(self, recording: Recording) -> StoredObject:
        """As Uploader.finish, and store_not_configured."""
        stored = await self._archive.finish(recording.id, recording.key, recording.store)
        if stored is None:
            raise BystanderError("recording_empty", "Nothing is kept.", fault=Fault.RESOURCE, status=404)
        return stored

    def kept(self) -> dict[str, str]:
        return self._archive.kept()

    def backlog_bytes(self) -> int:
        return self._archive.backlog_bytes()

    def troubles(self) -> dict[str, StallReason]:
        return {name: why for one in self._uploaders for name, why in one.troubles().items()}

    async def close(self) -> None:
        """The stores stay open."""
        for uploader in self._uploaders:
            await uploader.close()


def _uploader(store: ObjectStore, root: Path, clock: Clock, settings: NodeSettings, sleep: Sleep) -> Uploader:
    lease = NodeLease(
        store,
        clock,
        installation="ours",
        node=settings.name,
        takeover_after_s=settings.storage.takeover_after_s,
    )
    return Uploader(
        store,
        root,
        clock,
        settings.storage,
        finalise_init=filled,
        grow_init=filled if settings.adopts else grown,
        make_movie=Told,
        lease=None if settings.adopts else lease,
        replaces_parts=settings.replaces_parts,
        sleep=sleep,
        seed=settings.seed,
    )
