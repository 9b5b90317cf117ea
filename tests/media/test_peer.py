"""A Peer against real publishers over real ICE, DTLS and SRTP on loopback."""

import asyncio
import itertools
import random
import re
import socket

import pytest
import uvloop

from media.handover.encoded_frame import Codec
from media.webrtc import transport
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.network.media import MediaNetwork
from tests.support.aiortc_odd import make_lite, use_rsa_certificate
from tests.support.aiortc_peer import AiortcPeer, MovingBar
from tests.support.lossy_link import Impairment, LossyLink, without_candidates
from tests.support.recording_sink import RecordingSink

LOOPBACK = "127.0.0.1"


class Receiver:
    """A Peer with a RecordingSink and the states it went through."""

    def __init__(self, **arguments: object) -> None:
        self.sink = RecordingSink()
        self.states: list[str] = []
        options = {"ice_servers": [], "network": MediaNetwork(interfaces=[LOOPBACK]), **arguments}
        self.peer = Peer(sink=self.sink, clock=SystemClock(), on_state=self._state, **options)  # type: ignore[arg-type]

    def _state(self, state: str, reason: str | None) -> None:
        self.states.append(state)
        self.sink.note()

    async def __aenter__(self) -> "Receiver":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.peer.close()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    async def connect(self, publisher: AiortcPeer) -> None:
        answer, _ = await self.peer.accept(await publisher.offer())
        await publisher.answered(answer)

    async def connect_through(self, publisher: AiortcPeer, link: LossyLink) -> str:
        offer = without_candidates(await publisher.offer())
        answer, etag = await self.peer.accept(offer)
        await publisher.answered(await link.through(answer))
        return etag


@pytest.mark.parametrize(("name", "codec"), [("video/H264", Codec.H264), ("video/VP8", Codec.VP8)])
async def test_pictures_and_sound_arrive_whole_and_in_order(name: str, codec: Codec) -> None:
    async with Receiver() as receiver:
        sink = receiver.sink
        async with AiortcPeer(video_codec=name) as publisher:
            await receiver.connect(publisher)
            await sink.until(lambda: len(sink.video()) >= 20 and len(sink.audio()) >= 30)
            await sink.until(lambda: len(sink.reports) == 2)
        await sink.until(lambda: receiver.states[-1] == "closed")
        video, audio = sink.video(), sink.audio()
        assert {frame.codec for frame in video} == {codec}
        assert video[0].keyframe
        assert not any(frame.after_loss for frame in video + audio)
        assert all(b.rtp_timestamp > a.rtp_timestamp for a, b in itertools.pairwise(video))
        assert {b.rtp_timestamp - a.rtp_timestamp for a, b in itertools.pairwise(audio)} == {960}
        assert receiver.states == ["connected", "closed"]
        assert sorted(sink.names()) == ["stream_ended"] * 2 + ["stream_started"] * 2
        assert receiver.peer.statistics.packets >= len(video) + len(audio)
        assert receiver.peer.statistics.dropped == {}


def test_it_works_under_uvloop_too() -> None:
    async def run() -> None:
        async with Receiver() as receiver, AiortcPeer() as publisher:
            await receiver.connect(publisher)
            await receiver.sink.until(lambda: len(receiver.sink.video()) >= 5)
            await publisher.connection.close()
            await receiver.sink.until(lambda: receiver.states == ["connected", "closed"])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_retransmission_makes_up_for_loss_and_reordering() -> None:
    bad = Impairment(loss=0.05, delay_s=0.02, jitter_s=0.06, duplicate=0.01)
    async with Receiver() as receiver, LossyLink(seed=7, to_receiver=bad) as link:
        sink = receiver.sink
        async with AiortcPeer(audio=False) as publisher:
            await receiver.connect_through(publisher, link)
            await sink.until(lambda: len(sink.video()) >= 100)
        counters = receiver.peer.statistics
        assert link.lost > 0
        assert counters.recovered > 0
        video = sink.video()
        assert sum(frame.after_loss for frame in video) == 0
        steps = {b.rtp_timestamp - a.rtp_timestamp for a, b in itertools.pairwise(video)}
        assert steps == {3600}, "no picture is missing"


async def test_a_lost_picture_without_retransmission_is_told_and_a_key_frame_asked_for() -> None:
    async with Receiver() as receiver, LossyLink(seed=3) as link:
        sink = receiver.sink
        async with AiortcPeer(audio=False, retransmission=False) as publisher:
            await receiver.connect_through(publisher, link)
            await sink.until(lambda: len(sink.video()) >= 10)
            link.to_receiver.loss = 0.3
            await sink.until(lambda: any(frame.lost_packets for frame in sink.video()))
            link.to_receiver.loss = 0.0
            first = next(i for i, frame in enumerate(sink.video()) if frame.lost_packets)
            await sink.until(lambda: any(frame.keyframe for frame in sink.video()[first:]))
        video = sink.video()
        key = next(i for i in range(first, len(video)) if video[i].keyframe)
        assert all(frame.after_loss for frame in video[first:key])
        assert receiver.peer.statistics.lost > 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport's patience, a tenth of what it is."""
    for name in ("WATCH_INTERVAL_S", "PROBED_SILENCE_S", "SILENCE_S_MAX"):
        monkeypatch.setattr(transport, name, getattr(transport, name) / 10)


@pytest.mark.usefixtures("impatient")
async def test_a_peer_that_vanishes_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "VANISHED_S_MAX", 1.0)
    async with Receiver() as receiver, LossyLink(seed=1) as link, AiortcPeer() as publisher:
        await receiver.connect_through(publisher, link)
        await receiver.sink.until(lambda: len(receiver.sink.video()) >= 5)
        link.cut = True
        await receiver.sink.until(lambda: receiver.states[-1] == "failed")
        assert receiver.states[-2:] == ["disconnected", "failed"]
        assert receiver.peer.state_reason == "peer_vanished"
        assert receiver.sink.names().count("stream_ended") == 2
        await receiver.peer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_gap_in_the_network_is_survived() -> None:
    async with Receiver() as receiver, LossyLink(seed=1) as link:
        sink = receiver.sink
        async with AiortcPeer() as publisher:
            await receiver.connect_through(publisher, link)
            await sink.until(lambda: len(sink.video()) >= 5)
            link.cut = True
            await sink.until(lambda: receiver.states[-1] == "disconnected")
            link.cut = False
            count = len(sink.video())
            await sink.until(lambda: receiver.states[-1] == "connected" and len(sink.video()) > count + 5)
            assert "stream_ended" not in sink.names()


async def test_ice_restarts_under_the_living_session() -> None:
    async with Receiver() as receiver, LossyLink(seed=1) as link:
        sink = receiver.sink
        async with AiortcPeer(audio=False) as publisher:
            etag = await receiver.connect_through(publisher, link)
            await sink.until(lambda: len(sink.video()) >= 5)
            fragment, new_etag = await _restart(receiver.peer, publisher)
            assert new_etag != etag
            with pytest.raises(BystanderError, match="stale_ice_session"):
                await receiver.peer.trickle("a=end-of-candidates\r\n", etag)
            assert await receiver.peer.trickle("a=end-of-candidates\r\n", new_etag) is None
            await publisher.move_to(await link.through(fragment))
            count = len(sink.video())
            await sink.until(lambda: len(sink.video()) > count + 10)
        assert "stream_ended" not in sink.names()[:-1]
        assert not any(frame.after_loss for frame in sink.video())


async def _restart(peer: Peer, publisher: AiortcPeer) -> tuple[str, str]:
    restarted = await peer.trickle(await publisher.new_ice_session(), "*")
    assert restarted is not None
    assert re.search(r"^a=ice-ufrag:\S+\r$", restarted[0], re.MULTILINE)
    return restarted


async def test_garbage_datagrams_cost_nothing_but_a_counter() -> None:
    async with Receiver() as receiver, AiortcPeer() as publisher:
        offer = await publisher.offer()
        answer, _ = await receiver.peer.accept(offer)
        found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
        assert found is not None
        address = (found[1], int(found[2]))
        chance = random.Random(5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.connect(address)
            for size in (0, 1, 11, 12, 100, 1500, 2048, 2049, 9000):
                for first in (0, 1, 20, 63, 64, 128, 191, 255):
                    attacker.send(bytes([first]) * min(size, 1) + chance.randbytes(max(0, size - 1)))
            await publisher.answered(answer)
            sink = receiver.sink
            await sink.until(lambda: len(sink.video()) >= 5)
            for size in (12, 100, 1500, 2048, 2049, 9000):
                attacker.send(b"\x80" + chance.randbytes(size - 1))
        count = len(sink.video())
        await sink.until(lambda: len(sink.video()) > count + 5)
        dropped = receiver.peer.statistics.dropped
        # STUN aside, nothing that a stranger sends is looked at: not even kept for when the keys are there.
        assert dropped == {"address_not_validated": 8 + 8 * 6 + 6, "not_stun": 8 * 2}


async def test_strangers_keep_nobody_from_connecting() -> None:
    """Plaintext alerts and fake media from the moment the port is known, until the keys are there."""
    for _ in range(3):
        async with Receiver() as receiver, AiortcPeer() as publisher:
            answer, _ = await receiver.peer.accept(await publisher.offer())
            found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
            assert found is not None
            attack = asyncio.create_task(_attack((found[1], int(found[2]))))
            await publisher.answered(answer)
            await receiver.sink.until(lambda: len(receiver.sink.video()) >= 3)
            attack.cancel()
            assert receiver.states == ["connected"]
            assert receiver.sink.video()[0].keyframe
            assert receiver.peer.statistics.dropped.keys() == {"address_not_validated"}


async def _attack(address: tuple[str, int]) -> None:
    alert = bytes.fromhex("15fefd000000000000000100020228")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.connect(address)
        while True:
            attacker.send(alert)
            for number in range(20):
                attacker.send(b"\x80\x60" + number.to_bytes(2, "big") + bytes(50))
            await asyncio.sleep(0.005)


async def test_a_publisher_with_an_rsa_certificate_connects() -> None:
    async with Receiver() as receiver, AiortcPeer(audio=False) as publisher:
        use_rsa_certificate(publisher.connection)
        answer, _ = await receiver.peer.accept(await publisher.offer())
        assert "a=setup:active" in answer, "the certificate of the DTLS server decides"
        await publisher.answered(answer)
        await receiver.sink.until(lambda: len(receiver.sink.video()) >= 3)


async def test_a_lite_publisher_is_led() -> None:
    """RFC 8445 6.1.1: it only answers, so that the pair is ours to nominate."""
    async with Receiver() as receiver, AiortcPeer(audio=False) as publisher:
        make_lite(publisher.connection)
        offer = await publisher.offer()
        answer, _ = await receiver.peer.accept(offer.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))
        await publisher.answered(answer)
        await receiver.sink.until(lambda: len(receiver.sink.video()) >= 3)


async def test_a_wrong_fingerprint_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with Receiver() as receiver, AiortcPeer(audio=False) as publisher:
        offer = re.sub(
            r"(a=fingerprint:sha-256 )\S+", r"\g<1>" + ":".join(["00"] * 32), await publisher.offer()
        )
        offer = re.sub(r"a=fingerprint:sha-(384|512).*\r\n", "", offer)
        await publisher.answered((await receiver.peer.accept(offer))[0])
        await receiver.sink.until(lambda: receiver.states[-1:] == ["failed"])
        assert receiver.peer.state_reason == "dtls_fingerprint_mismatch"


async def test_a_restart_that_failed_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver() as receiver, AiortcPeer(audio=False) as publisher:
        await receiver.peer.accept(await publisher.offer())
        fragment = await publisher.new_ice_session()
        with monkeypatch.context() as broken:
            broken.setattr(transport.MediaTransport, "gather", _no_sockets)
            with pytest.raises(OSError, match="no sockets"):
                await receiver.peer.trickle(fragment, "*")
        assert await receiver.peer.trickle(fragment, "*") is not None


async def _no_sockets(self: object) -> None:
    raise OSError("no sockets are left")


async def test_a_malformed_candidate_is_refused_with_the_offer() -> None:
    async with Receiver() as receiver, AiortcPeer() as publisher:
        offer = await publisher.offer()
        with pytest.raises(BystanderError, match="malformed_sdp"):
            await receiver.peer.accept(offer.replace("a=candidate:", "a=candidate:x y z ", 1))
        assert receiver.states == ["closed"]


async def test_credentials_said_again_restart_nothing() -> None:
    async with Receiver() as receiver, AiortcPeer() as publisher:
        offer = await publisher.offer()
        await receiver.peer.accept(offer)
        names = ("ice-ufrag", "ice-pwd")
        told = [re.search(rf"a={name}:\S+", offer) for name in names]
        fragment = "\r\n".join(found[0] for found in told if found is not None)
        assert await receiver.peer.trickle(fragment, "*") is None


async def test_streams_come_and_go_in_the_same_session() -> None:
    async with Receiver() as receiver, AiortcPeer(video_codec=None) as publisher:
        sink, peer, sender = receiver.sink, receiver.peer, publisher.connection
        await receiver.connect(publisher)
        await sink.until(lambda: len(sink.audio()) >= 5)
        added = sender.addTransceiver(MovingBar(), direction="sendonly")
        answer, etag = await peer.renegotiate(await publisher.offer())
        await publisher.answered(answer)
        await sink.until(lambda: len(sink.video()) >= 5)
        added.direction = "inactive"
        again, same = await peer.renegotiate(await publisher.offer())
        await publisher.answered(again)
        assert etag == same
        assert sink.names().count("stream_started") == 2
        assert sink.names().count("stream_ended") == 1
        heard = len(sink.audio())
        await sink.until(lambda: len(sink.audio()) >= heard + 5)  # as if nothing had been
        assert receiver.states == ["connected"]
        assert [re.findall(r"^o=- (\d+) (\d+)", one, re.M)[0] for one in (answer, again)] == [
            (session_of(answer), "2"),
            (session_of(answer), "3"),
        ]


def session_of(sdp: str) -> str:
    return str(re.findall(r"^o=- (\d+)", sdp, re.M)[0])


async def test_an_offer_that_is_refused_leaves_the_session_as_it_was() -> None:
    async with Receiver() as receiver, AiortcPeer(video_codec=None) as publisher:
        sink, peer = receiver.sink, receiver.peer
        with pytest.raises(BystanderError, match="session_closed"):
            await peer.renegotiate(await publisher.offer())
        await receiver.connect(publisher)
        await sink.until(lambda: len(sink.audio()) >= 5)
        offer = await publisher.offer()
        other = re.sub(r"(?<=a=fingerprint:sha-256 )\w\w", "00", offer)
        for refused in (other, "v=0\r\n", offer.replace("a=sendonly", "a=inactive")):
            with pytest.raises(BystanderError):
                await peer.renegotiate(refused)
        heard = len(sink.audio())
        await sink.until(lambda: len(sink.audio()) >= heard + 5)


async def test_a_second_offer_is_refused() -> None:
    async with Receiver() as receiver, AiortcPeer() as publisher:
        offer = await publisher.offer()
        await receiver.peer.accept(offer)
        with pytest.raises(BystanderError, match="offer_repeated"):
            await receiver.peer.accept(offer)


async def test_a_peer_that_never_connects_leaves_nothing_behind() -> None:
    async with Receiver() as receiver, AiortcPeer() as publisher:
        await receiver.peer.accept(without_candidates(await publisher.offer()))
        await receiver.peer.close()
        assert receiver.states == ["closed"]
        with pytest.raises(BystanderError, match="session_closed"):
            await receiver.peer.trickle("a=end-of-candidates\r\n", "*")
