"""A tunnel through an HTTP proxy (CONNECT, RFC 9110 9.3.6): a socket that speaks with who is behind it."""

import asyncio
import socket
from http import HTTPStatus

from recorder.kernel.network.proxy import Proxy

ANSWER_BYTES_MAX = 8192  # of the proxy, up to the empty line


async def open_tunnel(proxy: Proxy, host: str, port: int) -> socket.socket:
    """Connect to `host` and `port` through the proxy; OSError where it cannot be reached or refuses."""
    loop = asyncio.get_running_loop()
    address, kind = proxy.address, socket.SOCK_STREAM
    found = await loop.getaddrinfo(*address, type=kind)
    family, _, protocol, _, where = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        await loop.sock_connect(opened, where)
        await loop.sock_sendall(opened, _request(proxy, host, port))
        _check(await _answer(opened))
    except BaseException:
        opened.close()
        raise
    return opened


def _request(proxy: Proxy, host: str, port: int) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _answer(opened: socket.socket) -> bytes:
    """The proxy's answer, a byte at a time: what follows its empty line is not for us."""
    loop, answer = asyncio.get_running_loop(), b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(opened, 1)
        if not byte or len(answer) == ANSWER_BYTES_MAX:
            raise ConnectionError("the proxy does not speak HTTP")
        answer += byte
    return answer


def _check(answer: bytes) -> None:
    status = answer.split(b" ", 2)[1:2]
    if status != [str(HTTPStatus.OK.value).encode()]:
        raise ConnectionRefusedError("the proxy refuses the tunnel")
