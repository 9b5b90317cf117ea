"""Microsoft's own emulator of Azure Blob Storage, from npm: a real server over HTTP on loopback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import ContainerClient

from storage.settings import StorageSettings
from tests.support.ports import free_port
from tests.support.s3_servers import ServerProcess

ACCOUNT = "devstoreaccount1"  # with its key, as the emulator's documentation gives them to everybody
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "recordings"
# Where `make test-stores` installs it: beside the interpreter that runs the tests.
PROGRAM = Path(sys.prefix) / "azurite" / "node_modules" / ".bin" / "azurite-blob"


def azure_settings(endpoint: str, *, prefix: str = "", **others: str) -> StorageSettings:
    """Settings for a running emulator."""
    return StorageSettings(
        **{  # type: ignore[arg-type]
            "url": f"azure://{CONTAINER}/{prefix}",
            "endpoint": f"{endpoint}/{ACCOUNT}",
            "access_key_id": ACCOUNT,
            "secret_access_key": KEY,
            **others,
        }
    )


@contextmanager
def azurite(directory: Path) -> Iterator[ServerProcess]:
    """The emulator over `directory`, with the container in it."""
    if not PROGRAM.exists():
        pytest.fail("azurite is not installed: make test-stores does it")
    port = free_port()
    command = [str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(directory)]
    server = ServerProcess([*command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], port)
    server.start()
    try:
        account = f"{server.endpoint}/{ACCOUNT}"
        with ContainerClient(account, CONTAINER, credential=AzureNamedKeyCredential(ACCOUNT, KEY)) as client:
            client.create_container()
        yield server
    finally:
        server.kill()
