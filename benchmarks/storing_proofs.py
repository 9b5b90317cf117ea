"""What proofs cost: requests, bytes read back and CPU, for each GiB, beside what sending it costs."""

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import MIB
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, seal
from storage.store import ObjectStore
from storage.stores.local.store import LocalStore
from storage.upload.uploader import StoredObject, Uploader
from tests.faults.lying_store import LyingStore
from tests.storage.stores import s3_settings
from tests.support import footage

_T = TypeVar("_T")
Ask = Callable[..., AsyncIterator[_T]]

GIB = 1024 * MIB
LENGTH_S = 3600
WIDTH = 14


@dataclass
class Spent:
    """What was asked of a store, and what this process did for it."""

    requests: Counter[str] = field(default_factory=Counter)
    read_bytes: int = 0
    cpu_s: float = 0.0

    def now(self) -> "Spent":
        """As it is at this instant."""
        return Spent(Counter(self.requests), self.read_bytes, time.process_time())

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            self.requests - before.requests, self.read_bytes - before.read_bytes, self.cpu_s - before.cpu_s
        )


class Counting:
    """Counts in `spent` what passes to a store, whose methods it stands before; `sent` is from when on the
    store has all."""

    def __init__(self, store: ObjectStore) -> None:
        self.spent = Spent()
        self.sent: Spent | None = None
        for holder, names in ((store, ("put", "head", "delete")), (store.uploads, ("begin", "put_part"))):
            for name in names:
                setattr(holder, name, self._counted(name, getattr(holder, name)))
        setattr(store.uploads, "complete", self._last("complete", store.uploads.complete))  # noqa: B010
        if store.adoption is not None:
            setattr(store, "adopt", self._last("adopt", store.adoption.adopt))  # noqa: B010
        setattr(store, "read", self._reading(store.read))  # noqa: B010
        for holder, name in ((store, "list_objects"), (store.uploads, "list_uploads")):
            setattr(holder, name, self._listing(name, getattr(holder, name)))

    def _counted(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*given: Any) -> Any:
            self.spent.requests[name] += 1
            return await ask(*given)

        return counted

    def _last(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        counted = self._counted(name, ask)

        async def last(*given: Any) -> Any:
            answer = await counted(*given)
            self.sent = self.spent.now()
            return answer

        return last

    def _reading(self, read: Ask[bytes]) -> Ask[bytes]:
        async def reading(*given: Any) -> AsyncIterator[bytes]:
            self.spent.requests["read"] += 1
            async for chunk in read(*given):
                self.spent.read_bytes += len(chunk)
                yield chunk

        return reading

    def _listing(
        self, name: str, ask: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def listing(*given: Any) -> AsyncIterator[Any]:
            self.spent.requests[name] += 1
            async for found in ask(*given):
                yield found

        return listing


class Elsewhere(LocalStore):
    """A directory that shares no file system with the spool."""

    async def can_adopt(self, file: Path) -> bool:
        return False


def _stores(endpoint: str, directory: Path) -> dict[str, ObjectStore]:
    opaque = LyingStore(open_store(s3_settings(endpoint, prefix=uuid.uuid4().hex)), "honest")
    opaque.lies.opaque_tags = True
    return {
        "S3": open_store(s3_settings(endpoint, prefix=uuid.uuid4().hex)),
        "S3, tags that are no digests": opaque,
        "directory": LocalStore(directory / "taken-over"),
        "directory elsewhere": Elsewhere(directory / "copied"),
    }


async def measure(endpoint: str, facts: SpoolFacts) -> None:
    """Print a table: for each GiB of an ended recording, what sending it costs, and what proving it costs."""
    source = footage.make(width=256, height=144, noise=16)
    columns = ("CPU to send, s", "to prove, s", "requests", "to prove", "read back, MiB")
    print(f"\n{'for a GiB':<30}{'proof':<12}" + "".join(f"{name:>{WIDTH + 2}}" for name in columns))
    with tempfile.TemporaryDirectory() as directory:
        for name, store in _stores(endpoint, Path(directory)).items():
            root = Path(directory) / f"spool of {name}"
            footage.spool_of(source, root, facts, LENGTH_S * 1_000_000 // footage.FRAGMENT_US)
            seal(root, facts.recording, EndReason.NORMAL, "worker_died")
            counting = Counting(store)
            begun = counting.spent.now()
            stored = await _shipped(store, root, facts.recording)
            assert counting.sent is not None
            sending, proving = counting.sent.since(begun), counting.spent.now().since(counting.sent)
            await store.close()
            _print(name, stored, sending, proving)


async def _shipped(store: ObjectStore, root: Path, recording: str) -> StoredObject:
    uploader = Uploader(
        store,
        root,
        SystemClock(),
        StorageSettings(),
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
    )
    stored = await uploader.finish(recording)
    await uploader.close()
    return stored


def _print(name: str, stored: StoredObject, sending: Spent, proving: Spent) -> None:
    share = stored.size / GIB
    figures = (
        sending.cpu_s / share,
        proving.cpu_s / share,
        sending.requests.total() / share,
        proving.requests.total() / share,
        proving.read_bytes / MIB / share,
    )
    kinds = ", ".join(f"{kind} {count}" for kind, count in proving.requests.most_common())
    columns = "".join(f"{figure:>{WIDTH + 2}.2f}" for figure in figures)
    print(f"{name:<30}{stored.proof or '':<12}{columns}   once a recording: {kinds}")
