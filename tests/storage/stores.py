"""The stores that the contract is tried on, by name."""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import msgspec

from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import Faults, MemoryStore
from tests.support.azurite import azure_settings
from tests.support.google_door import GoogleDoor, google_door
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY
from tests.support.sftp_server import sftp_server
from tests.support.swift_server import SWIFT_ACCESS_KEY_ID

STORES = ("memory", "memory-once", "local", "local-elsewhere", "rclone", "moto", "gs", "sftp")


def s3_settings(endpoint: str, *, prefix: str = "", **others: object) -> StorageSettings:
    """Settings for a server of tests.support.s3_servers."""
    usual = StorageSettings(
        url=f"s3://{BUCKET}/{prefix}",
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY_ID,
        secret_access_key=SECRET_ACCESS_KEY,
    )
    return msgspec.structs.replace(usual, **others)


def google_settings(door: GoogleDoor, directory: Path) -> StorageSettings:
    """Settings for a service account that `door` lets in; its key is written into `directory`."""
    key_file = door.write_key(directory / "account.json")
    return StorageSettings(
        url=f"gs://{BUCKET}/tests/{uuid.uuid4().hex}",
        endpoint=door.endpoint,
        service_account_file=str(key_file),
    )


def make_bucket(endpoint: str, access_key_id: str = ACCESS_KEY_ID) -> None:
    """Make the bucket on a server that begins without one."""
    session = boto3.Session(access_key_id, SECRET_ACCESS_KEY, region_name="us-east-1")
    session.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)


@asynccontextmanager
async def open_named(name: str, directory: Path, endpoints: dict[str, str]) -> AsyncIterator[ObjectStore]:
    """One of STORES, empty: under a prefix or directory of its own."""
    store: ObjectStore
    elsewhere: Path | None = None
    if name.startswith("memory"):
        store = MemoryStore(faults=Faults(replaces_parts=name == "memory"))
    elif name == "local":
        store = LocalStore(directory / "objects")
    elif name == "local-elsewhere":  # on another file system than the spools: nothing can be adopted
        elsewhere = Path(tempfile.mkdtemp(dir="/dev/shm"))
        store = LocalStore(elsewhere / "objects")
    elif name == "sftp":
        async with sftp_server(directory) as settings:
            store = open_store(settings)
            try:
                yield store
            finally:
                await store.close()
        return
    elif name == "gs-account":
        async with google_door(endpoints[name]) as door:
            store = open_store(google_settings(door, directory))
            try:
                yield store
            finally:
                await store.close()
        return
    elif name == "azure":
        store = open_store(azure_settings(endpoints[name], prefix=f"tests/{uuid.uuid4().hex}"))
    elif name == "swift":
        own = {"access_key_id": SWIFT_ACCESS_KEY_ID}
        store = open_store(s3_settings(endpoints[name], prefix=f"tests/{uuid.uuid4().hex}", **own))
    elif name == "gs":  # Google's dialect, as far as a server that speaks Amazon's can tell
        url = f"gs://{BUCKET}/tests/{uuid.uuid4().hex}"
        store = open_store(s3_settings(endpoints[name], url=url, region=None))
    else:
        store = open_store(s3_settings(endpoints[name], prefix=f"tests/{uuid.uuid4().hex}"))
    try:
        yield store
    finally:
        await store.close()
        if elsewhere is not None:
            shutil.rmtree(elsewhere)
