"""Relays: TURN by every transport, several servers, and nothing but relays where that is wanted."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from media.webrtc import transport
from media.webrtc.gathering import GATHERING_S_MAX
from media.webrtc.network.ice_urls import StunUrl, TurnUrl, read_servers
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork
from recorder.settings.ice_servers import turn_credential
from tests.support.aiortc_peer import AiortcPeer
from tests.support.certificates import Certified, certify
from tests.support.ports import free_port
from tests.support.recording_sink import RecordingSink
from tests.support.turn_server import TurnServer, turn_server

LOOPBACK = MediaNetwork(interfaces=["127.0.0.1"])


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certify(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, certified: Certified) -> Iterator[TurnServer]:
    with turn_server(tmp_path_factory.mktemp("turn"), certified=certified) as running:
        yield running


def credited(relay: TurnServer, *urls: str) -> IceServer:
    username = f"{int(time.time()) + 60}:somebody"
    return IceServer(urls=list(urls), username=username, credential=turn_credential(relay.secret, username))


def relayed(sink: RecordingSink, servers: list[IceServer], network: MediaNetwork = LOOPBACK) -> Peer:
    return Peer(
        sink=sink,
        clock=SystemClock(),
        ice_servers=servers,
        policy=IceTransportPolicy.RELAYED,
        network=network,
        on_state=lambda state, reason: sink.note(),
    )


def candidates_of(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.startswith("a=candidate")]


def test_servers_by_their_urls() -> None:
    urls = [
        "turn:a.example",
        "turns:b.example",
        "turn:[2001:db8::1]:80?transport=tcp",
        "stun:c.example:19302",
    ]
    ignored = ["stuns:d.example", "turns:e.example?transport=udp"]
    stun, turn = read_servers([IceServer(urls=urls + ignored, username="u", credential="p")])
    assert stun == [StunUrl("c.example", 19302)]
    assert turn == [
        TurnUrl("a.example", 3478, "udp", False, "u", "p"),
        TurnUrl("b.example", 5349, "tcp", True, "u", "p"),
        TurnUrl("2001:db8::1", 80, "tcp", False, "u", "p"),
    ]
    assert "'p'" not in repr(turn)
    for malformed in ("http://x", "turn:", "turn:x:y", "turn:a b", "turn:x?transport=sctp", "turn:u@x"):
        with pytest.raises(BystanderError, match="malformed_ice_server"):
            read_servers([IceServer(urls=[malformed])])


@pytest.mark.parametrize("by", ["tcp", "tls"])
async def test_media_by_turn_over_streams(relay: TurnServer, certified: Certified, by: str) -> None:
    sink = RecordingSink()
    network = MediaNetwork(turn_certificates=certified.authority.read_text())
    peer = relayed(sink, [credited(relay, relay.url_by(by))], network)
    async with AiortcPeer(ice_servers=[credited(relay, relay.url)], relay_only=True) as publisher:
        answer, _ = await peer.accept(await publisher.offer())
        (candidate,) = candidates_of(answer)
        assert " udp " in candidate and candidate.endswith("typ relay raddr 0.0.0.0 rport 9")
        await publisher.answered(answer)
        await sink.until(lambda: len(sink.video()) >= 10 and len(sink.audio()) >= 10)
    await peer.close()


async def test_a_server_that_nobody_vouches_for_is_not_used(relay: TurnServer) -> None:
    peer = relayed(RecordingSink(), [credited(relay, relay.url_by("tls"))])
    async with AiortcPeer(ice_servers=[credited(relay, relay.url)], relay_only=True) as publisher:
        with pytest.raises(BystanderError, match="relay_unavailable"):
            await peer.accept(await publisher.offer())
    await peer.close()


async def test_a_dead_server_is_made_up_for_by_the_next(relay: TurnServer) -> None:
    sink = RecordingSink()
    dead = f"turn:127.0.0.1:{free_port()}"
    peer = relayed(sink, [credited(relay, dead, relay.url, relay.url_by("tcp"))])
    async with AiortcPeer(ice_servers=[credited(relay, relay.url)], relay_only=True) as publisher:
        offer = await publisher.offer()
        began_s = asyncio.get_running_loop().time()
        answer, _ = await peer.accept(offer)
        assert asyncio.get_running_loop().time() - began_s < GATHERING_S_MAX
        first, second = (int(candidate.split()[3]) for candidate in candidates_of(answer))
        assert first > second, "the order of the settings is that of preference"
        await publisher.answered(answer)
        await sink.until(lambda: len(sink.video()) >= 3)
    await peer.close()


async def test_hosts_are_refused_where_all_is_relayed(
    relay: TurnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SETUP_S_MAX", 1.0)
    sink = RecordingSink()
    peer = relayed(sink, [credited(relay, relay.url)])
    async with AiortcPeer() as publisher:
        offer = await publisher.offer()
        hosts = offer.count("typ host")
        answer, etag = await peer.accept(offer)
        await peer.trickle("a=candidate:1 1 udp 5 192.0.2.7 5000 typ srflx raddr 10.0.0.1 rport 9\r\n", etag)
        await publisher.answered(answer)
        await sink.until(lambda: peer.state == "failed")
    assert peer.state_reason == "no_relay_candidate"
    assert hosts and peer.statistics.dropped["candidate_not_relayed"] >= 2
    assert sink.video() == []
    await peer.close()
