"""The stores that the adversary works on, each with a way to it that can be broken and a way past that.

A real server runs once for all seeds of one run; each seed begins with an empty bucket.
"""

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import Faults, MemoryStore
from tests.faults.link import Link, http_link, tcp_link
from tests.storage.stores import make_bucket, s3_settings
from tests.support.azurite import azure_settings, azurite
from tests.support.s3_servers import ServerProcess, moto, rclone
from tests.support.sftp_server import sftp_server
from tests.support.swift_server import SWIFT_ACCESS_KEY_ID, swift

WAITING: Mapping[str, float] = {"connect_timeout_s": 2.0, "read_timeout_s": 2.0}


@dataclass
class Place:
    """A store, and a second one. `stores` are ways to the first, by settings that may change at a restart."""

    stores: list[ObjectStore]
    truths: list[ObjectStore]  # past the link, the first and the second
    second: list[ObjectStore] = field(default_factory=list)
    link: Link | None = None
    settings: tuple[StorageSettings, ...] = ()  # with which another process opens the two
    server: ServerProcess | None = None  # one that forgets its uploads when it is killed
    real: bool = True  # requests take their time
    adopts: bool = False  # spools' files are taken over

    async def clear(self) -> None:
        """Leave nothing to the next seed."""
        for truth in self.truths:
            async for upload in truth.uploads.list_uploads():
                await truth.uploads.abort(upload)
            for key in [info.key async for info in truth.list_objects()]:
                await truth.delete(key)


# Of what is on no node's disk, that which has the spools, and chance.
Make = Callable[[Path, Path, random.Random], Place]


class Places:
    """What one run opens: `for_seed` gives each of its seeds a place of its own, or the one, emptied.

    `disk` has the spools, `root` is on no node's disk.
    """

    async def for_seed(self, root: Path, disk: Path, seed: int) -> Place:
        raise NotImplementedError


class Fresh(Places):
    """A store that is made in no time."""

    def __init__(self, make: Make) -> None:
        self._make = make

    async def for_seed(self, root: Path, disk: Path, seed: int) -> Place:
        return self._make(root, disk, random.Random(f"store {seed}"))


class Running(Places):
    """A server that runs."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def for_seed(self, root: Path, disk: Path, seed: int) -> Place:
        if self._place.link is not None:
            self._place.link.begin(f"link {seed}")
        await self._place.clear()
        return self._place


def _memory(_: Path, __: Path, chance: random.Random) -> Place:
    faults = Faults(part_size_bytes_min=1, replaces_parts=chance.random() < 0.5)
    stores: list[ObjectStore] = [MemoryStore(chance.randrange(10**6), faults) for _ in range(2)]
    return Place(stores[:1], stores, stores[1:], real=False)


def _directory(_: Path, disk: Path, __: random.Random) -> Place:
    """On the spools' disk, so that files are taken over."""
    places = [disk / "objects", disk / "other-objects"]
    stores: list[ObjectStore] = [LocalStore(place) for place in places]
    settings = tuple(StorageSettings(url=str(place)) for place in places)
    return Place(stores[:1], stores, stores[1:], settings=settings, real=False, adopts=True)


class Elsewhere(LocalStore):
    """A directory that cannot take files over."""

    async def can_adopt(self, file: Path) -> bool:
        return False


def _elsewhere(root: Path, _: Path, __: random.Random) -> Place:
    stores: list[ObjectStore] = [Elsewhere(root / "objects"), Elsewhere(root / "other-objects")]
    return Place(stores[:1], stores, stores[1:], real=False)


@asynccontextmanager
async def _at_once(make: Make) -> AsyncIterator[Places]:
    yield Fresh(make)


async def _opened(stack: AsyncExitStack, *settings: StorageSettings) -> list[ObjectStore]:
    stores = [open_store(chosen) for chosen in settings]
    for store in stores:
        stack.push_async_callback(store.close)
    return stores


@asynccontextmanager
async def _s3(server: ServerProcess, *, forgets: bool = False, **others: object) -> AsyncIterator[Places]:
    """Two prefixes of one bucket, over a link and past it; the first with checksums and without."""
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(http_link(server.endpoint))
        first, second = (
            s3_settings(link.endpoint, prefix=prefix, **WAITING, **others) for prefix in ("first", "second")
        )
        without = msgspec.structs.replace(first, checksums="none")
        *ways, other = await _opened(stack, first, without, second)
        past = [msgspec.structs.replace(way, endpoint=server.endpoint) for way in (first, second)]
        truths = await _opened(stack, *past)
        forgetting = server if forgets else None
        yield Running(Place(ways, truths, [other], link, (first, second), forgetting))


@asynccontextmanager
async def _rclone() -> AsyncIterator[Places]:
    with tempfile.TemporaryDirectory() as directory, rclone(Path(directory) / "data") as server:
        async with _s3(server, forgets=True) as places:
            yield places


@asynccontextmanager
async def _moto() -> AsyncIterator[Places]:
    with moto(part_size_bytes_min=1) as server:
        make_bucket(server.endpoint)
        async with _s3(server) as places:
            yield places


@asynccontextmanager
async def _swift() -> AsyncIterator[Places]:
    with tempfile.TemporaryDirectory() as directory, swift(Path(directory), part_size_bytes_min=1) as server:
        make_bucket(server.endpoint, SWIFT_ACCESS_KEY_ID)
        async with _s3(server, access_key_id=SWIFT_ACCESS_KEY_ID) as places:
            yield places


@asynccontextmanager
async def _azurite() -> AsyncIterator[Places]:
    with tempfile.TemporaryDirectory() as directory, azurite(Path(directory)) as server:
        async with AsyncExitStack() as stack:
            link = await stack.enter_async_context(http_link(server.endpoint))
            settings, past = (
                [azure_settings(endpoint, prefix=prefix) for prefix in ("first", "second")]
                for endpoint in (link.endpoint, server.endpoint)
            )
            broken = [msgspec.structs.replace(one, **WAITING) for one in settings]
            first, second = await _opened(stack, *broken)
            truths = await _opened(stack, *past)
            yield Running(Place([first], truths, [second], link, tuple(broken)))


@asynccontextmanager
async def _sftp() -> AsyncIterator[Places]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        usual = await stack.enter_async_context(sftp_server(directory))
        port = int(usual.url.partition("@127.0.0.1:")[2].partition("/")[0])
        link = await stack.enter_async_context(tcp_link(port))
        known_hosts = directory / "known_hosts"
        key = known_hosts.read_text().partition(" ")[2]
        host, _, its_port = link.endpoint.partition(":")
        known_hosts.write_text(f"{known_hosts.read_text()}\n[{host}]:{its_port} {key}")
        url = usual.url.replace(f"127.0.0.1:{port}", link.endpoint)
        both = ("/first", "/second")
        broken = [msgspec.structs.replace(usual, url=url + place, **WAITING) for place in both]
        past = [msgspec.structs.replace(usual, url=usual.url + place) for place in both]
        first, second = await _opened(stack, *broken)
        truths = await _opened(stack, *past)
        place = Place([first], truths, [second], link, tuple(broken))
        yield _Files(place, directory / "remote" / "objects")


class _Files(Running):
    """Of which the server's directory is at hand."""

    def __init__(self, place: Place, directory: Path) -> None:
        super().__init__(place)
        self._directory = directory

    async def for_seed(self, root: Path, disk: Path, seed: int) -> Place:
        shutil.rmtree(self._directory, ignore_errors=True)
        place = await super().for_seed(root, disk, seed)
        for truth in place.truths:
            await truth.check()
        return place


PLACES: dict[str, Callable[[], AbstractAsyncContextManager[Places]]] = {
    "memory": lambda: _at_once(_memory),
    "directory": lambda: _at_once(_directory),
    "directory elsewhere": lambda: _at_once(_elsewhere),
    "rclone": _rclone,
    "moto": _moto,
    "sftp": _sftp,
    "azurite": _azurite,
    "swift": _swift,
}
