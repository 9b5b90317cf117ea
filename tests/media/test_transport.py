"""What the transport leans on inside its libraries, and the parts of it that need no publisher."""

import asyncio
import inspect
import json
import random
import shutil
import socket
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import aioice
import aioice.ice
import aioice.turn
import pylibsrtp
import pytest
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM
from OpenSSL import SSL
from pylibsrtp._binding import ffi, lib

from media.sdp.transport import Fingerprint, IceParameters
from media.webrtc import transport
from media.webrtc.dtls import Certificate, IceLink
from media.webrtc.gathering import DATAGRAM_BYTES_MAX
from media.webrtc.ice import IceConnection
from media.webrtc.peer import Peer
from media.webrtc.srtp import SOURCES_MAX, SrtpReceiver
from media.webrtc.transport import EARLY_DATAGRAMS_MAX, MediaTransport
from recorder.kernel.clock import ManualClock, SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import CANDIDATES_PER_PUBLISHER_MAX
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork
from tests.support.aiortc_peer import AiortcPeer
from tests.support.recording_sink import RecordingSink
from tests.support.rtp import rtp_bytes


class TestTheInsideOfTheLibraries:
    """When one of these fails, read the library's changes before moving the pin."""

    def test_versions_are_those_that_were_read(self) -> None:
        assert (version("aiortc"), version("aioice"), version("pylibsrtp")) == ("1.16.0", "0.13.0", "1.0.0")

    def test_aioice_connection(self) -> None:
        for name, parameters in {
            "get_component_candidates": ["self", "component", "addresses", "timeout"],
            "query_consent": ["self"],
            "add_remote_candidate": ["self", "remote_candidate"],
            "request_received": ["self", "message", "addr", "protocol"],
            "check_incoming": ["self", "message", "addr", "protocol"],
            "check_complete": ["self", "pair"],
            "data_received": ["self", "data", "component"],
            "build_request": ["self", "pair", "nominate"],
            "close": ["self"],
        }.items():
            assert list(inspect.signature(getattr(aioice.Connection, name)).parameters) == parameters
        attributes = vars(aioice.Connection(ice_controlling=False))
        assert {
            "_nominated",
            "_protocols",
            "_transport_policy",
            "_remote_candidates",
            "_query_consent_task",
        } <= attributes.keys()
        source = inspect.getsource(aioice.Connection.connect)
        assert "create_task(self.query_consent())" in source
        assert "self._query_consent_task.cancel()" in inspect.getsource(aioice.Connection.close)

    def test_aioice_hands_datagrams_to_the_attribute_of_the_protocol(self) -> None:
        protocol = aioice.ice.StunProtocol
        assert list(inspect.signature(protocol.datagram_received).parameters) == ["self", "data", "addr"]
        source = inspect.getsource(aioice.turn.TurnClientMixin.datagram_received)
        assert "self.receiver.datagram_received(payload, peer_address)" in source
        assert "self.receiver.data_received(data" in inspect.getsource(protocol.datagram_received)
        request = inspect.signature(protocol.request).parameters
        assert list(request) == ["self", "request", "addr", "integrity_key", "retransmissions"]

    def test_aiortc_dtls_transport(self) -> None:
        assert list(inspect.signature(RTCDtlsTransport.__init__).parameters) == [
            "self",
            "transport",
            "certificates",
        ]
        for name in ("_do_handshake", "_validate_peer_identity", "_setup_srtp", "_set_state"):
            assert hasattr(RTCDtlsTransport, name)
        assert hasattr(RTCCertificate, "_create_ssl_context")
        for name in ("_set_role", "getLocalParameters", "start", "stop", "state", "_recv_next", "_write_ssl"):
            assert hasattr(RTCDtlsTransport, name)
        used = inspect.getsource(RTCDtlsTransport)
        assert set(_names_after(used, "self.transport.")) == {"_recv", "_send", "role"}
        assert "self._rx_srtp = Session(rx_policy)" in used
        assert "self._tx_srtp = Session(tx_policy)" in used
        assert RTCCertificate.generateCertificate().getFingerprints()[0].algorithm == "sha-256"

    def test_libsrtp_binding(self) -> None:
        for function in (lib.srtp_unprotect, lib.srtp_unprotect_rtcp, lib.srtp_protect_rtcp):
            assert str(ffi.typeof(function)) == (
                "<ctype 'srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)'>"
            )
        policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        assert pylibsrtp.Session(policy)._srtp[0]
        assert pylibsrtp.ERRORS[9].startswith("replay")


def _names_after(source: str, prefix: str) -> list[str]:
    return [part.split("(")[0].split()[0].rstrip(":,") for part in source.split(prefix)[1:]]


class Events:
    """A TransportEvents that keeps everything."""

    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.arrivals: list[int] = []
        self.states: list[tuple[str, str | None]] = []
        self.changed = asyncio.Event()

    def rtp_received(self, buffer: object, length: int, arrival_ns: int) -> None:
        self.rtp.append(buffer[0:length])  # type: ignore[index]
        self.arrivals.append(arrival_ns)

    def rtcp_received(self, data: bytes, arrival_ns: int) -> None:
        self.rtcp.append(data)

    def round_trip_measured(self, round_trip_ns: int) -> None:
        self.round_trips_ns.append(round_trip_ns)

    def state_changed(self, state: str, reason: str | None) -> None:
        self.states.append((state, reason))
        self.changed.set()


class Sessions:
    """Stands in for DtlsSession: two SRTP sessions with the same key."""

    def __init__(self) -> None:
        key = bytes(range(30))
        self.sender = pylibsrtp.Session(
            pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        )
        self.receiver = pylibsrtp.Session(
            pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        )

    def srtp_contexts(self) -> tuple[object, object]:
        return self.receiver._srtp[0], self.sender._srtp[0]


class TestSrtpReceiver:
    def setup_method(self) -> None:
        self.sessions = Sessions()
        self.events = Events()
        self.dropped: list[str] = []
        self.receiver = SrtpReceiver(
            self.sessions,
            self.events,
            ManualClock(monotonic_ns=5),
            self.dropped.append,
        )

    def test_media_and_control_are_told_apart(self) -> None:
        media = rtp_bytes(payload_type=96, payload=b"hello")
        control = b"\x80\xc9\x00\x01\x00\x00\x00\x07"
        self.receiver.datagram(self.sessions.sender.protect(media), 5)
        self.receiver.datagram(self.sessions.sender.protect_rtcp(control), 5)
        assert (self.events.rtp, self.events.rtcp, self.dropped) == ([media], [control], [])

    def test_what_is_sent_can_be_read_by_the_peer(self) -> None:
        control = b"\x80\xc9\x00\x01\x00\x00\x00\x07"
        other = pylibsrtp.Session(
            pylibsrtp.Policy(key=bytes(range(30)), ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        )
        assert other.unprotect_rtcp(self.receiver.protect_rtcp(control)) == control

    def test_replays_and_forgeries_are_counted(self) -> None:
        sent = self.sessions.sender.protect(rtp_bytes(payload=b"hello"))
        self.receiver.datagram(sent, 5)
        self.receiver.datagram(sent, 5)
        self.receiver.datagram(sent[:-1] + bytes([sent[-1] ^ 1]), 5)
        assert self.dropped == ["srtp_replay", "srtp_unauthentic"] or self.dropped == ["srtp_replay"] * 2
        assert len(self.events.rtp) == 1

    def test_size_at_the_bound_and_over_it(self) -> None:
        chance = random.Random(1)
        for size in (11, 12, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX + 1):
            self.receiver.datagram(b"\x80" + chance.randbytes(size - 1), 5)
        assert self.dropped == ["datagram_size", "srtp_unauthentic", "srtp_unauthentic", "datagram_size"]

    def test_a_long_call_has_room_for_new_sources(self) -> None:
        for ssrc in range(SOURCES_MAX):
            self.receiver.datagram(rtp_bytes(ssrc=1000 + ssrc, payload=bytes(20)), 5)
        assert set(self.dropped) == {"srtp_unauthentic"}, "only authentic sources count"
        self.dropped.clear()
        steady = [self.sessions.sender.protect(rtp_bytes(ssrc=7, sequence=n)) for n in range(400)]
        for number in range(400):
            self.receiver.datagram(steady[number], 2 * number)
            self.receiver.datagram(self.sessions.sender.protect(rtp_bytes(ssrc=100 + number)), 2 * number + 1)
        assert len(self.events.rtp) == 800
        assert self.dropped == []

    def test_what_a_source_sent_cannot_be_replayed_when_its_state_is_gone(self) -> None:
        sent = [self.sessions.sender.protect(rtp_bytes(ssrc=ssrc)) for ssrc in range(SOURCES_MAX + 1)]
        for number, datagram in enumerate(sent):
            self.receiver.datagram(datagram, number)
        self.receiver.datagram(sent[0], SOURCES_MAX + 1)
        assert len(self.events.rtp) == SOURCES_MAX + 1
        assert self.dropped == ["too_many_sources"]


def make_transport(events: Events, **arguments: object) -> MediaTransport:
    options = {
        "drop": lambda reason: None,
        "clock": SystemClock(),
        "ice_servers": [],
        "policy": IceTransportPolicy.ALL,
        "network": MediaNetwork(interfaces=["127.0.0.1"]),
        "dtls_server": False,
        **arguments,
    }
    return MediaTransport(events=events, **options)  # type: ignore[arg-type]


class TestMediaTransport:
    async def test_only_the_bound_address_is_offered(self) -> None:
        tried = make_transport(Events())
        local = await tried.gather()
        await tried.close()
        assert [candidate.split()[4] for candidate in local.candidates] == ["127.0.0.1"]
        assert [f.algorithm for f in local.fingerprints] == ["sha-256"]

    async def test_relayed_without_a_relay_is_refused(self) -> None:
        tried = make_transport(Events(), policy=IceTransportPolicy.RELAYED)
        with pytest.raises(BystanderError, match="relay_unavailable"):
            await tried.gather()
        await tried.close()

    async def test_a_malformed_server_is_refused(self) -> None:
        with pytest.raises(BystanderError, match="malformed_ice_server"):
            make_transport(Events(), ice_servers=[IceServer(urls=["http://x"])])

    async def test_set_up_ends_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "SETUP_S_MAX", 0.05)
        events = Events()
        tried = make_transport(events)
        await tried.gather()
        tried.start(IceParameters("abcd", "x" * 22), (Fingerprint("sha-256", "00"),))
        async with asyncio.timeout(5):
            await events.changed.wait()
        assert events.states == [("failed", "ice_timeout")]
        await tried.close()

    async def test_media_ahead_of_its_keys_is_kept_within_bounds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions, events, dropped = Sessions(), Events(), list[str]()

        async def succeed(self: object, fingerprints: object) -> bool:
            return True

        monkeypatch.setattr(transport.DtlsSession, "handshake", succeed)
        monkeypatch.setattr(transport.DtlsSession, "srtp_contexts", lambda self: sessions.srtp_contexts())
        tried = make_transport(events, drop=dropped.append)
        await tried.gather()
        sent = [rtp_bytes(sequence=number, payload=b"early") for number in range(EARLY_DATAGRAMS_MAX + 1)]
        began_ns = SystemClock().monotonic_ns()
        for number, packet in enumerate(sent):
            tried._connection._on_media(sessions.sender.protect(packet), began_ns + number)
        assert (events.rtp, dropped) == ([], ["before_dtls"])
        tried._use(tried._connection)  # as if ICE had found a pair
        await tried._secure(())
        assert events.states == [("connected", None)]
        assert events.rtp == sent[:-1]
        assert events.arrivals == [began_ns + number for number in range(EARLY_DATAGRAMS_MAX)]
        await tried.close()

    async def test_candidates_are_bounded_and_judged(self) -> None:
        dropped: list[str] = []
        tried = make_transport(Events(), drop=dropped.append)
        await tried.gather()
        for value in ("", "1 1 udp x 1.2.3.4 5 typ host"):
            with pytest.raises(ValueError):
                await tried.add_remote_candidate(value)
        for port in range(2, 100):
            await tried.add_remote_candidate(f"1 1 udp 1 192.0.2.1 {2000 + port} typ host")
        assert dropped.count("too_many_candidates") == 100 - CANDIDATES_PER_PUBLISHER_MAX
        await tried.close()

    async def test_unreadable_stun_is_no_error(self, caplog: pytest.LogCaptureFixture) -> None:
        read = asyncio.Event()
        tried = make_transport(Events(), drop=lambda reason: read.set())
        local = await tried.gather()
        words = local.candidates[0].split()
        chance = random.Random(3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.connect((words[4], int(words[5])))
            for size in range(0, 200, 4):
                body = chance.randbytes(size)
                attacker.send(
                    b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
                )
                # A known attribute with a length that does not fit it.
                for kind in (6, 8, 0x20, 0x24, 0x8028, 9):
                    attribute = kind.to_bytes(2, "big") + b"\x00\x02ab\x00\x00"
                    attacker.send(b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + attribute)
            attacker.send(b"\x40")  # neither STUN nor DTLS nor media: it is counted, so all before were read
            await read.wait()
        await tried.close()
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
async def turn_server(tmp_path: Path) -> AsyncIterator[IceServer]:
    """coturn on loopback, with one user."""
    program = shutil.which("turnserver")
    assert program is not None, "coturn is one of the real parts these tests need"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--no-cli"]
    options += [
        "--lt-cred-mech",
        "--user=u:p",
        "--realm=test",
        "--allow-loopback-peers",
        "--no-tls",
        "--no-dtls",
    ]
    options += [f"--pidfile={tmp_path / 'pid'}", f"--userdb={tmp_path / 'db'}", "--log-file=stdout", "-n"]
    process = await asyncio.create_subprocess_exec(
        program, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _accepts_connections(port)
        yield IceServer(urls=[f"turn:127.0.0.1:{port}"], username="u", credential="p")
    finally:
        process.terminate()
        await process.wait()


async def _accepts_connections(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def test_everything_passes_the_relay_where_it_must(turn_server: IceServer) -> None:
    sink = RecordingSink()
    peer = Peer(
        sink=sink,
        clock=SystemClock(),
        ice_servers=[turn_server],
        policy=IceTransportPolicy.RELAYED,
        on_state=lambda state, reason: sink.note(),
    )
    async with AiortcPeer(ice_servers=[turn_server], relay_only=True) as publisher:
        answer, _ = await peer.accept(await publisher.offer())
        candidates = [line for line in answer.splitlines() if line.startswith("a=candidate")]
        assert len(candidates) == 1
        assert "typ relay raddr 0.0.0.0" in candidates[0], json.dumps(candidates)
        await publisher.answered(answer)
        await sink.until(lambda: len(sink.video()) >= 10 and len(sink.audio()) >= 10)
    await sink.until(lambda: peer.state == "closed")
    await peer.close()


def test_the_ice_connection_is_what_it_says() -> None:
    assert issubclass(IceConnection, aioice.Connection)


HELLO = bytes.fromhex("16fefd0000000000000000000401020304")
ALERT = bytes.fromhex("15fefd000000000000000100020228")
ENCRYPTED_ALERT = bytes.fromhex("15fefd000100000000000100020228")


@pytest.mark.parametrize("data", [ALERT, HELLO + ALERT, HELLO + HELLO + ALERT])
async def test_an_alert_that_nobody_vouches_for_is_dropped(data: bytes) -> None:
    dropped: list[str] = []
    IceLink(dropped.append).dtls_received(data)
    assert dropped == ["dtls_plaintext_alert"]


@pytest.mark.parametrize("data", [HELLO, HELLO + HELLO, ENCRYPTED_ALERT, HELLO[:-1], HELLO + ALERT[:10]])
async def test_other_records_pass(data: bytes) -> None:
    dropped: list[str] = []
    link = IceLink(dropped.append)
    link.dtls_received(data)
    assert (await link._recv(), dropped) == (data, [])


class Wire:
    """Stands in for an IceConnection: what is sent and when, in the loop's time."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.changed = asyncio.Event()

    def send_now(self, data: bytes) -> bool:
        self.sent.append(data)
        self.changed.set()
        return True

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.sent) < count:
                self.changed.clear()
                await self.changed.wait()


async def test_a_flight_that_is_not_answered_is_sent_again_until_it_is() -> None:
    wire, link = Wire(), IceLink(lambda reason: None)
    link.use(wire)  # type: ignore[arg-type]
    link.begin_handshake()
    await link._send(b"one")
    await link._send(b"two")
    await wire.until(6)
    assert wire.sent == [b"one", b"two"] * 3
    link.dtls_received(HELLO)
    assert link._timer is None
    link.end_handshake()
    await link._send(b"three")
    assert (wire.sent[6:], link._timer) == ([b"three"], None)


def test_suites_are_authenticated_encryption_for_both_kinds_of_certificates() -> None:
    context = Certificate.generateCertificate()._create_ssl_context([SRTP_AEAD_AES_128_GCM])
    offered = SSL.Connection(context).get_cipher_list()
    tls12 = [name for name in offered if not name.startswith("TLS_")]
    assert {name.split("-")[1] for name in tls12} == {"ECDSA", "RSA"}
    assert all("GCM" in name or "CHACHA20" in name for name in tls12)


def test_a_datagram_of_nothing_is_dropped_and_counted() -> None:
    dropped: list[str] = []
    IceLink(dropped.append).dtls_received(b"")
    assert dropped == ["not_media"]
