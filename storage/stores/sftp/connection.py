"""The connection to an SFTP server, over SSH; only the files of the SFTP store know asyncssh."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import asyncssh

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.network.proxy import Proxy
from storage.errors import DENIED, FAILED, FULL, OBJECT_MISSING, UNREACHABLE, store_error
from storage.settings import StorageSettings
from storage.stores.sftp.tunnel import open_tunnel

SLOWEST_LINK_BYTES_PER_S = 4 * 1024  # what travels slower than this is given up and sent again
WRITE_CHUNK_BYTES = 128 * 1024  # on the way at once; each has a deadline of its own
KEEPALIVE_S = 15  # a peer that is gone is noticed after three of these
DEFAULT_PORT = 22

_CODES: dict[type[asyncssh.SFTPError], str] = {
    asyncssh.SFTPNoSuchFile: OBJECT_MISSING,
    asyncssh.SFTPNoSuchPath: OBJECT_MISSING,
    asyncssh.SFTPNotADirectory: OBJECT_MISSING,
    asyncssh.SFTPPermissionDenied: DENIED,
    asyncssh.SFTPWriteProtect: DENIED,
    asyncssh.SFTPNoSpaceOnFilesystem: FULL,
    asyncssh.SFTPQuotaExceeded: FULL,
    asyncssh.SFTPNoConnection: UNREACHABLE,
    asyncssh.SFTPConnectionLost: UNREACHABLE,
}
_REFUSED = (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable, asyncssh.KeyImportError)


@contextmanager
def sftp_errors() -> Iterator[None]:
    """Let nothing of asyncssh's out."""
    try:
        yield
    except asyncssh.SFTPError as error:
        raise store_error(_CODES.get(type(error), FAILED), type(error).__name__) from error
    except _REFUSED as error:
        raise store_error(DENIED, type(error).__name__) from error
    except (asyncssh.Error, TimeoutError, OSError) as error:
        raise store_error(UNREACHABLE, type(error).__name__) from error


class SftpConnection:
    """One base directory on one server, and the one connection to it, opened again when it was lost."""

    def __init__(self, settings: StorageSettings, proxy: Proxy | None = None) -> None:
        address = urlsplit(settings.url)
        if not address.hostname:
            raise caller_error("storage_url_invalid", "storage.url names no SFTP server.", status=400)
        path = unquote(address.path)
        self.base = PurePosixPath(path.removeprefix("/~/") if path.startswith("/~/") else path or "/")
        self._address = address
        self._settings = settings
        self._proxy = proxy
        self._opening = asyncio.Lock()
        self._ssh: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    @property
    def host(self) -> str:
        return self._address.hostname or ""

    @asynccontextmanager
    async def client(self, *, body_bytes: int = 0) -> AsyncIterator[asyncssh.SFTPClient]:
        """The client for some requests, with a deadline that allows for the length of what is carried."""
        deadline_s = patience_s(self._settings.read_timeout_s, body_bytes)
        try:
            with sftp_errors():
                async with asyncio.timeout(self._settings.connect_timeout_s):
                    client = await self._open()
                async with asyncio.timeout(deadline_s):
                    yield client
        except BystanderError as error:
            if error.code == UNREACHABLE:
                await self._drop()
            raise

    async def close(self) -> None:
        await self._drop()

    async def _open(self) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._sftp is None:
                self._ssh = await self._connect()
                self._sftp = await self._ssh.start_sftp_client()
            return self._sftp

    async def _connect(self) -> asyncssh.SSHClientConnection:
        settings = self._settings
        # What is not set is left to asyncssh: ~/.ssh/known_hosts, the agent, the user's own keys.
        chosen: dict[str, object] = {
            "known_hosts": settings.known_hosts_file,
            "client_keys": [settings.private_key_file] if settings.private_key_file else None,
            "password": settings.password,
            "username": unquote(self._address.username) if self._address.username else None,
        }
        port = self._address.port or DEFAULT_PORT
        if self._proxy is not None and self._proxy.for_host(self.host) is not None:
            chosen["sock"] = await open_tunnel(self._proxy, self.host, port)
        return await asyncssh.connect(
            self.host,
            port,
            keepalive_interval=KEEPALIVE_S,
            **{name: value for name, value in chosen.items() if value is not None},
        )

    async def _drop(self) -> None:
        async with self._opening:
            ssh, self._ssh, self._sftp = self._ssh, None, None
        if ssh is not None:
            ssh.abort()
            with suppress(asyncssh.Error, OSError):  # it was lost before
                await ssh.wait_closed()


class SftpFiles:
    """Small steps on the server's file system, each of them done whole or not at all."""

    def __init__(self, base: PurePosixPath, hidden: PurePosixPath, *, read_timeout_s: float) -> None:
        self.base = base
        self._new = hidden / "new"
        self._quiet_s = patience_s(read_timeout_s, WRITE_CHUNK_BYTES)

    async def write(self, client: asyncssh.SFTPClient, path: PurePosixPath, data: bytes) -> None:
        """Make a file with these bytes, or put it in place of another."""
        await client.makedirs(str(self._new), exist_ok=True)
        unnamed = self._new / uuid.uuid4().hex
        async with client.open(str(unnamed), "wb") as file:
            await self.send(file, data, 0)
        await self.move(client, unnamed, path)

    async def send(self, file: asyncssh.SFTPClientFile, data: bytes, offset: int) -> None:
        """Write at an offset and bring it to the disk; a body may take any time, as long as it gets on."""
        for start in range(0, len(data), WRITE_CHUNK_BYTES):
            async with asyncio.timeout(self._quiet_s):
                await file.write(data[start : start + WRITE_CHUNK_BYTES], offset + start)
        await sync(file)

    async def move(self, client: asyncssh.SFTPClient, source: PurePosixPath, target: PurePosixPath) -> None:
        """Give a file its name, in place of another."""
        await client.makedirs(str(target.parent), exist_ok=True)
        try:
            await client.posix_rename(str(source), str(target))
        except asyncssh.SFTPOpUnsupported:  # the protocol's own rename does not replace
            with suppress(asyncssh.SFTPNoSuchFile):
                await client.remove(str(target))
            await client.rename(str(source), str(target))

    async def read(self, client: asyncssh.SFTPClient, path: PurePosixPath) -> bytes:
        """All of a small file."""
        async with client.open(str(path), "rb") as file:
            data: bytes = await file.read()
            return data

    async def remove(self, client: asyncssh.SFTPClient, path: PurePosixPath, top: PurePosixPath) -> None:
        """Remove a file, and the directories below `top` that are empty without it."""
        with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            await client.remove(str(path))
        with suppress(asyncssh.SFTPError):  # not empty, or not there
            for parent in path.relative_to(top).parents[:-1]:
                await client.rmdir(str(top / parent))


def patience_s(read_timeout_s: float, body_bytes: int) -> float:
    """How long an answer may take whose request, or itself, carries so much."""
    return read_timeout_s + body_bytes / SLOWEST_LINK_BYTES_PER_S


async def sync(file: asyncssh.SFTPClientFile) -> None:
    """Bring a file to the server's disk, where the server can (OpenSSH's fsync extension)."""
    with suppress(asyncssh.SFTPOpUnsupported):
        await file.fsync()
