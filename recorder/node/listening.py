"""The addresses of a server, bound before anything is made, so that its own URL is known to all of it."""

import asyncio
import socket

from recorder.kernel.errors import BystanderError, Fault


async def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host, all with one port; nobody listens yet. address_unusable."""
    opened: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in await _addresses(host, port):
            sock = socket.socket(family, kind, protocol)
            opened.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
            port = sock.getsockname()[1]  # 0 picks a free one, once
    except OSError as error:
        for sock in opened:
            sock.close()
        raise BystanderError(
            "address_unusable",
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            fault=Fault.RESOURCE,
            status=500,
        ) from error
    return opened


def own_url(host: str, sock: socket.socket) -> str:
    """Where this machine itself reaches the server."""
    port = sock.getsockname()[1]
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    return f"http://[{own}]:{port}" if ":" in own and not own.startswith("[") else f"http://{own}:{port}"


async def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys(found))  # type: ignore[arg-type]
