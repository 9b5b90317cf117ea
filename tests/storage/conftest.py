"""Spools and stores of the storage tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter
from storage.spool.format import IndexEntry
from storage.store import ObjectStore
from storage.stores.memory import MemoryStore
from storage.upload.recording_upload import RecordingUpload
from storage.upload.uploader import Uploader
from tests.storage.stores import STORES, make_bucket, open_named
from tests.support.azurite import azurite
from tests.support.s3_servers import ServerProcess, moto, rclone
from tests.support.swift_server import SWIFT_ACCESS_KEY_ID, swift

RECORDING = "rec_00000000000000000000000001"
QUIET_LOOKS = 6  # without a request: nothing more is due; each step before a request takes at most two


def facts(recording: str = RECORDING) -> SpoolFacts:
    return SpoolFacts(
        recording=recording,
        conversation="conv_1",
        key=f"conv_1/{recording}.mp4",
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


async def refusal_of(settings: StorageSettings) -> str:
    """The code with which the store of these settings does not let us in."""
    store = open_store(settings)
    try:
        with pytest.raises(BystanderError) as caught:
            await store.check()
    finally:
        await store.close()
    return caught.value.code


async def until_quiet(uploader: Uploader, store: MemoryStore, looks: list[int]) -> None:
    """Wait until the uploader looks at the spool again and again and asks nothing more of the store."""
    since, before = 0, -1
    async with asyncio.timeout(30):
        while before != len(store.requests) or len(looks) - since < QUIET_LOOKS:
            if before != len(store.requests):
                since, before = len(looks), len(store.requests)
            uploader.grew(RECORDING)
            await asyncio.sleep(0.002)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many fragments there were, each time that an uploader had looked for what to do."""
    seen: list[int] = []
    look = RecordingUpload._look

    def looked(shipment: RecordingUpload) -> tuple[list[IndexEntry], bool]:
        entries, ended = look(shipment)
        seen.append(len(entries))
        return entries, ended

    monkeypatch.setattr(RecordingUpload, "_look", looked)
    return seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def create(root: Path) -> Iterator[Callable[..., SpoolWriter]]:
    """Makes writers and closes them at the end."""
    writers: list[SpoolWriter] = []

    def make(recording: str = RECORDING) -> SpoolWriter:
        writers.append(SpoolWriter.create(root, facts(recording)))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with rclone(tmp_path_factory.mktemp("rclone") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[ServerProcess]:
    with moto() as server:
        make_bucket(server.endpoint)
        yield server


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with swift(tmp_path_factory.mktemp("swift")) as server:
        make_bucket(server.endpoint, SWIFT_ACCESS_KEY_ID)
        yield server


SERVERS = {
    "rclone": "rclone_server",
    "moto": "moto_server",
    "gs": "moto_server",
    "gs-account": "moto_server",
    "azure": "azure_server",
    "swift": "swift_server",
}
# Servers that are not Python's own, and another way into one that is.
SLOWER = [pytest.param(name, marks=pytest.mark.stores) for name in ("gs-account", "azure", "swift")]


@pytest.fixture(params=[*STORES, *SLOWER])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    """Every store, one after the other."""
    endpoints = {}
    if request.param in SERVERS:
        endpoints[request.param] = request.getfixturevalue(SERVERS[request.param]).endpoint
    async with open_named(request.param, tmp_path, endpoints) as store:
        yield store
