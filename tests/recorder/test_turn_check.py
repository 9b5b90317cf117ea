"""Whether the TURN server answers: against one that refuses as they do, one that says nonsense, and none."""

import asyncio
import socket

import pytest

from recorder.node.turn_check import check_turn


class Refusing(asyncio.DatagramProtocol):
    """Answers every request with an error response of this kind."""

    def __init__(self, kind: bytes) -> None:
        self._kind = kind

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._kind + b"\0\0" + data[4:20], addr)


async def serving(kind: bytes) -> tuple[asyncio.DatagramTransport, str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Refusing(kind), local_addr=("127.0.0.1", 0))
    return transport, f"turn:127.0.0.1:{transport.get_extra_info('sockname')[1]}?transport=udp"


def dead() -> str:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return f"turn:127.0.0.1:{unused.getsockname()[1]}"


async def test_one_that_refuses_us_is_there() -> None:
    transport, url = await serving(b"\x01\x13")
    await check_turn([dead(), url])
    transport.close()


async def test_one_that_is_something_else_is_not() -> None:
    transport, url = await serving(b"\x01\x01")
    with pytest.raises(OSError, match="no TURN server answers"):
        await check_turn([url])
    transport.close()


@pytest.mark.parametrize("suffix", ["", "?transport=tcp"])
async def test_none_is_none(suffix: str) -> None:
    with pytest.raises(OSError, match="no TURN server answers"):
        await check_turn([dead() + suffix])
