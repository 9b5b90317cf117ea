"""The stores that the adversary works on, each with a way to it that can be broken and a way past that.

A real server runs once for all seeds of one run; each seed begins with an empty bucket.
"""

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
    """One store. `stores` are ways to it, by settings that a server may change at a restart."""

    stores: list[ObjectStore]
    truth: ObjectStore  # past the link
    link: Link | None = None
    settings: StorageSettings | None = None  # with which another process opens it
    server: ServerProcess | None = None  # one that forgets its uploads when it is killed
    real: bool = True  # requests take their time

    async def clear(self) -> None:
        """Leave nothing to the next seed."""
        async for upload in self.truth.uploads.list_uploads():
            await self.truth.uploads.abort(upload)
        for key in [info.key async for info in self.truth.list_objects()]:
            await self.truth.delete(key)


class Places:
    """What one run opens: `for_seed` gives each of its seeds a place of its own, or the one, emptied."""

    async def for_seed(self, root: Path, seed: int) -> Place:
        raise NotImplementedError


class Fresh(Places):
    """A store that is made in no time."""

    def __init__(self, make: Callable[[Path, random.Random], Place]) -> None:
        self._make = make

    async def for_seed(self, root: Path, seed: int) -> Place:
        return self._make(root, random.Random(f"store {seed}"))


class Running(Places):
    """A server that runs."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def for_seed(self, root: Path, seed: int) -> Place:
        if self._place.link is not None:
            self._place.link.begin(f"link {seed}")
        await self._place.clear()
        return self._place


def _memory(_: Path, chance: random.Random) -> Place:
    faults = Faults(part_size_bytes_min=1, replaces_parts=chance.random() < 0.5)
    store = MemoryStore(chance.randrange(10**6), faults)
    return Place([store], store, real=False)


def _directory(root: Path, _: random.Random) -> Place:
    """On the spools' disk, so that files are taken over."""
    store = LocalStore(root / "objects")
    return Place([store], store, settings=StorageSettings(url=str(root / "objects")), real=False)


class Elsewhere(LocalStore):
    """A directory that cannot take files over."""

    async def can_adopt(self, file: Path) -> bool:
        return False


def _elsewhere(root: Path, _: random.Random) -> Place:
    store = Elsewhere(root / "objects")
    return Place([store], store, real=False)


@asynccontextmanager
async def _at_once(make: Callable[[Path, random.Random], Place]) -> AsyncIterator[Places]:
    yield Fresh(make)


async def _opened(stack: AsyncExitStack, *settings: StorageSettings) -> list[ObjectStore]:
    stores = [open_store(chosen) for chosen in settings]
    for store in stores:
        stack.push_async_callback(store.close)
    return stores


@asynccontextmanager
async def _s3(server: ServerProcess, *, forgets: bool = False, **others: object) -> AsyncIterator[Places]:
    """With checksums and without, over a link and past it."""
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(http_link(server.endpoint))
        with_digests = s3_settings(link.endpoint, **WAITING, **others)
        without = msgspec.structs.replace(with_digests, checksums="none")
        stores = await _opened(stack, with_digests, without, s3_settings(server.endpoint, **others))
        yield Running(Place(stores[:2], stores[2], link, with_digests, server if forgets else None))


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
            broken = msgspec.structs.replace(azure_settings(link.endpoint), **WAITING)
            store, truth = await _opened(stack, broken, azure_settings(server.endpoint))
            yield Running(Place([store], truth, link, broken))


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
        broken = msgspec.structs.replace(
            usual, url=usual.url.replace(f"127.0.0.1:{port}", link.endpoint), **WAITING
        )
        store, truth = await _opened(stack, broken, usual)
        yield _Files(Place([store], truth, link, broken), directory / "remote" / "objects")


class _Files(Running):
    """Of which the server's directory is at hand."""

    def __init__(self, place: Place, directory: Path) -> None:
        super().__init__(place)
        self._directory = directory

    async def for_seed(self, root: Path, seed: int) -> Place:
        shutil.rmtree(self._directory, ignore_errors=True)
        place = await super().for_seed(root, seed)
        await place.truth.check()
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
