"""The readiness of TURN servers: each refuses an Allocate request without credentials (RFC 8656, 7.2)."""

import asyncio
import secrets
import ssl
import struct
from urllib.parse import parse_qs

ANSWER_TIMEOUT_S = 1.0  # of one server; a readiness probe has three seconds for all of them
DEFAULT_PORTS = {"turn": 3478, "turns": 5349}
_ALLOCATE, _ALLOCATE_ANSWERS = 0x0003, (0x0103, 0x0113)  # success and error response
_MAGIC_COOKIE = 0x2112A442
_REQUESTED_TRANSPORT_UDP = struct.pack("!HHBxxx", 0x0019, 4, 17)
_HEADER_BYTES = 20


async def check_turn(urls: list[str]) -> None:
    """Raises OSError where none of these servers answers."""
    answers = await asyncio.gather(*(_answers(url) for url in urls))
    if not any(answers):
        raise OSError("no TURN server answers")


async def _answers(url: str) -> bool:
    scheme, host, port, transport = _parsed(url)
    request = _allocate()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            if scheme == "turn" and transport == "udp":
                answer = await _by_udp(host, port, request)
            else:
                answer = await _by_stream(host, port, request, is_secure=scheme == "turns")
    except (OSError, EOFError, TimeoutError):
        return False
    kind, _, cookie = struct.unpack("!HHI", answer[:8].ljust(8, b"\0"))
    return kind in _ALLOCATE_ANSWERS and cookie == _MAGIC_COOKIE and answer[8:20] == request[8:20]


def _parsed(url: str) -> tuple[str, str, int, str]:
    scheme, _, rest = url.partition(":")
    address, _, query = rest.partition("?")
    host, separator, port = address.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = address, ""
    transport = parse_qs(query).get("transport", ["udp"])[0]
    return scheme, host.strip("[]"), int(port or DEFAULT_PORTS.get(scheme, 3478)), transport


def _allocate() -> bytes:
    header = struct.pack("!HHI", _ALLOCATE, len(_REQUESTED_TRANSPORT_UDP), _MAGIC_COOKIE)
    return header + secrets.token_bytes(12) + _REQUESTED_TRANSPORT_UDP


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.received.done():
            self.received.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.received.done():
            self.received.set_exception(exc)


async def _by_udp(host: str, port: int, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, answer = await loop.create_datagram_endpoint(_Answer, remote_addr=(host, port))
    try:
        transport.sendto(request)
        return await answer.received
    finally:
        transport.close()


async def _by_stream(host: str, port: int, request: bytes, *, is_secure: bool) -> bytes:
    """Whether it answers is asked, not whether its certificate is good: publishers judge that."""
    context = ssl._create_unverified_context() if is_secure else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(request)
        return await reader.readexactly(_HEADER_BYTES)
    finally:
        writer.close()
