"""Which addresses a publisher can make the recorder send to, and how often."""

import asyncio
import socket
from collections import Counter

import aioice
import pytest

from media.sdp.transport import IceParameters
from media.webrtc import ice
from media.webrtc.candidates import AddressFilter
from media.webrtc.ice import PEER_REFLEXIVE_MAX, CheckAllowance, IceConnection, usable_candidate
from recorder.kernel.clock import SystemClock
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork

REMOTE = IceParameters("abcd", "x" * 22)


class TestAddressFilter:
    @pytest.mark.parametrize(
        "host",
        ["192.0.2.7", "10.0.0.1", "172.16.3.4", "192.168.1.2", "100.64.0.1", "2001:db8::1", "fd12:3456::1"],
    )
    def test_networks_of_people_are_allowed(self, host: str) -> None:
        assert AddressFilter(["192.0.2.1"]).allows(host, 50_000)

    @pytest.mark.parametrize(
        "host",
        [
            *("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
            *("169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254"),
            *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"),
            *("224.0.0.251", "ff02::fb", "0.0.0.0", "::", "255.255.255.255", "240.0.0.1", "2002:7f00:1::"),
            *("localhost", "metadata.google.internal", "", "1.2.3", "0x7f000001"),
        ],
    )
    def test_others_are_not(self, host: str) -> None:
        assert not AddressFilter(["192.0.2.1", "2001:db8::2"]).allows(host, 50_000)

    def test_loopback_is_for_those_who_are_there(self) -> None:
        assert AddressFilter(["127.0.0.1"]).allows("127.0.0.1", 50_000)
        assert not AddressFilter(["127.0.0.1"]).allows("169.254.169.254", 50_000)

    @pytest.mark.parametrize(
        ("port", "allowed"),
        [
            *((-1, False), (0, False), (53, False), (80, True), (443, True), (1023, False)),
            *((1024, True), (65535, True), (65536, False)),
        ],
    )
    def test_ports(self, port: int, allowed: bool) -> None:
        assert AddressFilter(["192.0.2.1"]).allows("192.0.2.7", port) == allowed


def test_a_candidate_of_any_length_is_refused() -> None:
    with pytest.raises(ValueError):
        usable_candidate("1 1 udp 1 192.0.2.1 5000 typ host" + " generation 0" * 100)


class Checked:
    """An IceConnection on loopback, and what it dropped."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.datagrams: list[bytes] = []
        self.changed = asyncio.Event()
        self.connection = IceConnection(
            network=MediaNetwork(interfaces=["127.0.0.1"]),
            servers=[],
            policy=IceTransportPolicy.ALL,
            clock=SystemClock(),
            on_media=lambda data, arrival_ns: self.datagrams.append(data),
            on_dtls=self.datagrams.append,
            on_consent=lambda round_trip_ns: None,
            drop=self._drop,
            allowance=CheckAllowance(),
            controlling=False,
        )
        self.connection.remote_username = REMOTE.username_fragment
        self.connection.remote_password = REMOTE.password
        self._connecting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Checked":
        await self.connection.gather_candidates()
        self._connecting = asyncio.create_task(self.connection.connect())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.connection.close()
        assert self._connecting is not None
        await asyncio.wait([self._connecting])
        self._connecting.exception()

    @property
    def address(self) -> tuple[str, int]:
        candidate = self.connection.local_candidates[0]
        return candidate.host, candidate.port

    def request(self) -> bytes:
        """An authentic connectivity check of the peer."""
        message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.connection.local_username}:{REMOTE.username_fragment}"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        message.add_message_integrity(self.connection.local_password.encode())
        return bytes(message)

    async def until(self, reason: str, count: int) -> None:
        async with asyncio.timeout(20):
            while self.dropped[reason] < count:
                self.changed.clear()
                await self.changed.wait()

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        self.changed.set()


def listening() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def read_all(listener: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(listener.recv(2048))
        except BlockingIOError:
            return found


async def test_addresses_that_are_not_allowed_get_no_check() -> None:
    async with Checked() as checked:
        for host in ("169.254.169.254", "224.0.0.1", "fe80::1"):
            await checked.connection.add_remote_candidate(usable_candidate(f"1 1 udp 1 {host} 5000 typ host"))
        assert checked.connection.remote_candidates == []
        assert checked.dropped == {"candidate_not_allowed": 3}


async def test_checks_that_nobody_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "UNANSWERED_CHECKS_MAX", 4)
    with listening() as victim:
        async with Checked() as checked:
            port = victim.getsockname()[1]
            for host in ("127.0.0.1", *(f"127.0.1.{n}" for n in range(8))):
                await checked.connection.add_remote_candidate(
                    usable_candidate(f"1 1 udp 9 {host} {port} typ host")
                )
            await checked.until("too_many_checks", 8)  # the ninth candidate, and those that were asked again
        assert len(read_all(victim)) <= 4


async def test_addresses_that_only_checks_tell_are_bounded() -> None:
    senders = [listening() for _ in range(PEER_REFLEXIVE_MAX + 8)]
    try:
        async with Checked() as checked:
            for sender in senders:
                sender.sendto(checked.request(), checked.address)
            await checked.until("too_many_candidates", 8)
            assert len(checked.connection.remote_candidates) == PEER_REFLEXIVE_MAX
    finally:
        for sender in senders:
            sender.close()


async def test_media_and_dtls_are_taken_from_validated_addresses_alone() -> None:
    hello, media = b"\x16\xfe\xfd" + bytes(20), b"\x80" + bytes(20)
    with listening() as stranger, listening() as publisher:
        async with Checked() as checked:
            for sender in (stranger, publisher):
                sender.sendto(hello, checked.address)
                sender.sendto(media, checked.address)
            await checked.until("address_not_validated", 4)
            publisher.sendto(checked.request(), checked.address)
            publisher.sendto(hello, checked.address)
            publisher.sendto(media, checked.address)
            stranger.sendto(media, checked.address)
            await checked.until("address_not_validated", 5)
        assert checked.datagrams == [hello, media]
