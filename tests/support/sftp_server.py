"""A real SSH server on loopback that serves one directory by SFTP, and a client's settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from storage.settings import StorageSettings

USER = "bystander"


@asynccontextmanager
async def sftp_server(
    directory: Path, kind: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
) -> AsyncIterator[StorageSettings]:
    """Serve `directory / "remote"` as /; keys and known_hosts are made beside it."""
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    remote, key_file, known_hosts = (directory / name for name in ("remote", "id_ed25519", "known_hosts"))
    await asyncio.to_thread(remote.mkdir)
    user_key.write_private_key(str(key_file))
    allowed = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=allowed,
        sftp_factory=lambda channel: kind(channel, chroot=str(remote).encode()),
    )
    port = server.get_port()
    line = f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}"
    await asyncio.to_thread(known_hosts.write_text, line)
    try:
        yield StorageSettings(
            url=f"sftp://{USER}@127.0.0.1:{port}/objects",
            private_key_file=str(key_file),
            known_hosts_file=str(known_hosts),
        )
    finally:
        server.close()
        await server.wait_closed()
