"""Media's sockets: on which addresses and ports, how they are told to others, and by TCP."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioice
import pytest

from media.webrtc.candidates import AddressFilter
from media.webrtc.ice import CheckAllowance, IceConnection
from media.webrtc.network.addresses import announced, local_addresses, ports_to_try
from media.webrtc.network.tcp import CONNECTIONS_MAX
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.network.media import IpFamilies, MediaNetwork, PortRange
from recorder.settings.loading import build
from tests.support.ports import free_port

ADAPTERS = [
    ("lo", "127.0.0.1"),
    ("lo", "::1"),
    ("eth0", "10.0.0.5"),
    ("eth0", "2001:db8::5"),
    ("eth0", "fe80::5%2"),
    ("eth1", "192.168.7.5"),
    ("eth1", "169.254.3.3"),
]
MEDIA = b"\x80" + bytes(20)


class TestLocalAddresses:
    def test_all_that_others_can_reach(self) -> None:
        assert local_addresses(MediaNetwork(), ADAPTERS) == ["10.0.0.5", "2001:db8::5", "192.168.7.5"]
        assert local_addresses(MediaNetwork(), ADAPTERS[:2]) == ["127.0.0.1"]

    @pytest.mark.parametrize(
        ("families", "found"),
        [(IpFamilies.IPV4, ["10.0.0.5", "192.168.7.5"]), (IpFamilies.IPV6, ["2001:db8::5"])],
    )
    def test_of_one_protocol(self, families: IpFamilies, found: list[str]) -> None:
        assert local_addresses(MediaNetwork(families=families), ADAPTERS) == found

    @pytest.mark.parametrize(
        ("interfaces", "found"),
        [
            (["eth1"], ["192.168.7.5", "169.254.3.3"]),
            (["2001:db8::/32", "10.0.0.0/8"], ["2001:db8::5", "10.0.0.5"]),
            (["127.0.0.1"], ["127.0.0.1"]),
            (["lo"], ["127.0.0.1", "::1"]),
            (["wlan0"], []),
            (["eth0", "10.0.0.5"], ["10.0.0.5", "2001:db8::5"]),
        ],
    )
    def test_chosen(self, interfaces: list[str], found: list[str]) -> None:
        assert local_addresses(MediaNetwork(interfaces=interfaces), ADAPTERS) == found


def test_who_is_behind_a_nat_is_known_by_its_public_address() -> None:
    one = MediaNetwork(public_addresses=["203.0.113.7"])
    assert (announced(one, "10.0.0.5"), announced(one, "2001:db8::5")) == ("203.0.113.7", "2001:db8::5")
    each = MediaNetwork(public_addresses=["10.0.0.5=203.0.113.7", "10.0.0.6=203.0.113.8"])
    assert [announced(each, f"10.0.0.{n}") for n in (5, 6, 7)] == ["203.0.113.7", "203.0.113.8", "10.0.0.7"]


def test_every_port_of_a_range_is_tried_once() -> None:
    assert sorted(ports_to_try(PortRange(50_000, 50_004), 7)) == list(range(50_000, 50_005))
    assert list(ports_to_try(None, 1)) == [0]


def test_peers_are_in_the_networks_that_are_named() -> None:
    named = AddressFilter(["192.0.2.1"], ["10.0.0.0/8", "fe80::/10"])
    allowed = {"10.2.3.4": True, "::ffff:10.2.3.4": True, "fe80::7": True, "192.0.2.9": False, "::1": False}
    assert {host: named.allows(host, 50_000) for host in allowed} == allowed


@pytest.mark.parametrize(
    "call",
    [
        {"udp_port_min": 5000},
        {"udp_port_max": 5000},
        {"udp_port_min": 5001, "udp_port_max": 5000},
        {"public_addresses": ["a.example"]},
        {"public_addresses": ["10.0.0.1=a=b"]},
        {"peer_networks": ["10.0.0.0/33"]},
    ],
)
def test_contradictions_are_refused(call: dict[str, object]) -> None:
    with pytest.raises(BystanderError, match="invalid_settings"):
        build({"call": call})


class Gathered:
    """An IceConnection that waits for a peer, and what it was given and dropped."""

    def __init__(self, network: MediaNetwork) -> None:
        self.media: list[bytes] = []
        self.changed = asyncio.Event()
        self.connection = IceConnection(
            network=network,
            servers=[],
            policy=IceTransportPolicy.ALL,
            clock=SystemClock(),
            on_media=self._heard,
            on_dtls=lambda data: None,
            on_consent=lambda round_trip_ns: None,
            drop=lambda reason: None,
            allowance=CheckAllowance(),
            controlling=False,
        )
        self.connection.set_remote("abcd", "x" * 22, lite=False)

    def _heard(self, data: bytes, arrival_ns: int) -> None:
        self.media.append(data)
        self.changed.set()

    def request(self) -> bytes:
        """An authentic check of the peer, who nominates with it."""
        message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.connection.local_username}:abcd"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self.connection.local_password.encode())
        return bytes(message)


@asynccontextmanager
async def gathered(network: MediaNetwork) -> AsyncIterator[Gathered]:
    made = Gathered(network)
    try:
        await made.connection.gather_candidates()
        yield made
    finally:
        await made.connection.close()


async def test_ports_of_the_range_and_no_others() -> None:
    port = free_port()
    network = MediaNetwork(interfaces=["127.0.0.1"], ports=PortRange(port, port))
    async with gathered(network) as made:
        assert [candidate.port for candidate in made.connection.local_candidates] == [port]
        with pytest.raises(BystanderError, match="media_ports_exhausted"):
            async with gathered(network):
                pass
    async with gathered(network) as made:
        assert made.connection.local_candidates[0].port == port


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


async def test_media_by_tcp() -> None:
    network = MediaNetwork(interfaces=["127.0.0.1"], tcp=True, public_addresses=["203.0.113.7"])
    async with gathered(network) as made, asyncio.timeout(20):
        udp, tcp = made.connection.told_candidates()
        assert udp.split()[2] == "udp" and tcp.split()[2] == "tcp"
        assert tcp.split()[4] == "203.0.113.7" and tcp.endswith("typ host tcptype passive")
        assert int(udp.split()[3]) > int(tcp.split()[3])
        connecting = asyncio.create_task(made.connection.connect())
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tcp.split()[5]))
        request = framed(made.request())
        writer.write(framed(MEDIA) + request[:9])  # not vouched for, and a frame in two pieces
        await writer.drain()
        writer.write(request[9:])
        assert aioice.stun.parse_message(await read_frame(reader)).message_class is aioice.stun.Class.RESPONSE
        check = aioice.stun.parse_message(await read_frame(reader))  # ours, back on the same stream
        assert check.message_class is aioice.stun.Class.REQUEST
        answer = aioice.stun.Message(check.message_method, aioice.stun.Class.RESPONSE, check.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", int(tcp.split()[5]))
        answer.add_message_integrity(b"x" * 22)
        writer.write(framed(bytes(answer)) + framed(MEDIA))
        await connecting
        await made.changed.wait()
        assert made.media == [MEDIA]
        assert made.connection.send_now(b"\x80feedback") and await read_frame(reader) == b"\x80feedback"
        writer.close()


async def test_streams_of_strangers_are_bounded() -> None:
    network = MediaNetwork(interfaces=["127.0.0.1"], tcp=True)
    async with gathered(network) as made, asyncio.timeout(20):
        port = int(made.connection.told_candidates()[1].split()[5])
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX + 1)]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await streams[0][0].readexactly(1)  # the oldest gave way
        streams[1][1].write(struct.pack("!H", 60_000))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await streams[1][0].readexactly(1)
        for _, writer in streams:
            writer.close()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
