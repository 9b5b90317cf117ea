"""Plain RTP from real senders: FFmpeg, GStreamer and Janus; SRTP, pinned addresses, reports back."""

import asyncio
import os
import signal
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from media.check.file import check_file
from recorder.kernel.connectors.source import (
    RtpCodec,
    RtpSource,
    RtpStream,
    SrtpKeys,
    SrtpSuite,
)
from recorder.kernel.errors import BystanderError
from recorder.kernel.network.media import PortRange
from signaling.connectors.rtp.connector import RtpConnector
from signaling.connectors.rtp.description import write_description
from signaling.connectors.rtp.ports import PortsHeld, RtpPlace, pairs_per_account, ports_of
from signaling.connectors.rtp.preparation import check_rtp, prepared
from signaling.connectors.targets import ConnectorTargets
from tests.connectors.calls import Call
from tests.connectors.scenes import LOOPBACK
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.api_client import ApiClient
from tests.support.intake import ReceivingIntake
from tests.support.janus_publisher import JanusClient, JanusPublisher
from tests.support.janus_server import ROOM, janus_server
from tests.support.plain_sender import PlainSender
from tests.support.ports import OWN_ADDRESS
from tests.support.stored import stored_media

PLACE = RtpPlace(address="127.0.0.1", announced="127.0.0.1")
KEY = b64encode(bytes(range(30))).decode()
SIZE = "320x180"


def source(*, video: RtpCodec = RtpCodec.VP8, srtp: SrtpKeys | None = None, **more: object) -> RtpSource:
    """A source with ports of its own."""
    asked = RtpSource(
        senders=["127.0.0.1"],
        audio=RtpStream(codec=RtpCodec.OPUS, payload_type=111),
        video=RtpStream(codec=video, payload_type=96),
        srtp=srtp,
        **more,  # type: ignore[arg-type]
    )
    return prepared(asked, PLACE, PortsHeld())


def ports(of: RtpSource) -> tuple[int, int]:
    assert of.audio is not None
    assert of.video is not None
    return of.audio.port, of.video.port


@asynccontextmanager
async def listening(to: RtpSource) -> AsyncIterator[ReceivingIntake]:
    intake = ReceivingIntake()
    task = asyncio.create_task(RtpConnector(to, "127.0.0.1", LOOPBACK).run(intake))
    await intake.until(lambda: bool(intake.sessions))
    yield intake
    task.cancel()
    with suppress(asyncio.CancelledError, BystanderError):
        await task
    await intake.close()


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[None]:
    """A program for the length of the block; ended as its user would."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(5.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def ffmpeg(to: RtpSource, key: str | None = None) -> list[str]:
    """FFmpeg sends a test picture and a tone."""
    audio, video = ports(to)
    scheme = "rtp" if key is None else "srtp"
    secret = [] if key is None else ["-srtp_out_suite", "AES_CM_128_HMAC_SHA1_80", "-srtp_out_params", key]
    codec = {
        RtpCodec.VP8: ["libvpx", "-deadline", "realtime", "-cpu-used", "8"],
        RtpCodec.H264: ["libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"],
    }[to.video.codec if to.video else RtpCodec.VP8]
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        f"testsrc=s={SIZE}:r=25",
    ]
    command += ["-re", "-f", "lavfi", "-i", "sine=440:r=48000"]
    command += ["-map", "0:v", "-c:v", *codec, "-g", "25", "-payload_type", "96", *secret]
    command += ["-f", "rtp", f"{scheme}://127.0.0.1:{video}"]
    command += ["-map", "1:a", "-c:a", "libopus", "-payload_type", "111", *secret]
    return [*command, "-f", "rtp", f"{scheme}://127.0.0.1:{audio}"]


def gstreamer(to: RtpSource) -> list[str]:
    """GStreamer sends the same, takes reports, and sends key frames when it is asked."""
    audio, video = ports(to)
    width, height = SIZE.split("x")
    return (
        "gst-launch-1.0 -q rtpbin name=b"
        f" videotestsrc is-live=true ! video/x-raw,width={width},height={height},framerate=25/1"
        " ! vp8enc deadline=1 keyframe-max-dist=1000 ! rtpvp8pay pt=96 ! b.send_rtp_sink_0"
        f" b.send_rtp_src_0 ! udpsink host=127.0.0.1 port={video}"
        f" b.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={video + 1} sync=false async=false"
        " audiotestsrc is-live=true ! audioconvert ! audioresample ! audio/x-raw,channels=2,rate=48000"
        " ! opusenc ! rtpopuspay pt=111 ! b.send_rtp_sink_1"
        f" b.send_rtp_src_1 ! udpsink host=127.0.0.1 port={audio}"
        f" b.send_rtcp_src_1 ! udpsink host=127.0.0.1 port={audio + 1} sync=false async=false"
    ).split()


# --- what is given out -----------------------------------------------------------------------------------
def test_a_sender_is_told_where_what_and_by_which_key() -> None:
    told = source(srtp=SrtpKeys(key=KEY, key_back=KEY[::-1]))
    audio, video = ports(told)
    lines = write_description(told, "203.0.113.7").split("\r\n")
    assert "c=IN IP4 203.0.113.7" in lines
    assert [line for line in lines if line.startswith("m=")] == [
        f"m=audio {audio} RTP/SAVPF 111",
        f"m=video {video} RTP/SAVPF 96",
    ]
    assert {f"a=rtcp:{audio + 1}", f"a=rtcp:{video + 1}", "a=rtpmap:96 VP8/90000"} <= set(lines)
    assert lines.count(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[::-1]}") == 2
    assert KEY not in "".join(lines)
    assert KEY not in repr(told)


def test_ports_are_even_and_nobody_elses() -> None:
    place = RtpPlace(address=OWN_ADDRESS, announced=OWN_ADDRESS, ports=PortRange(18_000, 18_039))
    held: frozenset[int] = frozenset()
    for _ in range(10):
        given = prepared(asking(), place, PortsHeld(by_others=held))
        assert all(port % 2 == 0 for port in ports(given))
        assert not ports_of(given) & held
        held |= ports_of(given)
    with pytest.raises(BystanderError, match="media_ports_exhausted"):
        prepared(asking(), place, PortsHeld(by_others=held))


def asking(audio: int = 0, video: int = 0, *, rtcp_mux: bool = False) -> RtpSource:
    """A source that asks for these ports."""
    return RtpSource(
        senders=["127.0.0.1"],
        audio=RtpStream(codec=RtpCodec.OPUS, payload_type=111, port=audio),
        video=RtpStream(codec=RtpCodec.VP8, payload_type=96, port=video),
        rtcp_mux=rtcp_mux,
    )


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (asking(22), "invalid_port"),
        (asking(18_473), "invalid_port"),
        (asking(18_038), None),
        (asking(18_039), "invalid_port"),  # its RTCP is beyond
        (asking(18_039, rtcp_mux=True), None),
        (asking(18_002, 18_002), "invalid_port"),
        (asking(18_002, 18_003), "invalid_port"),
        (asking(18_002, 18_003, rtcp_mux=True), None),
        (asking(18_010), "rtp_port_taken"),
        (asking(18_009), "rtp_port_taken"),  # by its RTCP
        (asking(18_011, rtcp_mux=True), "rtp_port_taken"),
        (asking(18_020), "rtp_port_taken"),  # the account's own interactions keep theirs, too
    ],
)
def test_a_port_may_be_asked_for_that_is_in_the_range_and_nobodys(asked: RtpSource, code: str | None) -> None:
    place = RtpPlace(address=OWN_ADDRESS, announced=OWN_ADDRESS, ports=PortRange(18_000, 18_039))
    held = PortsHeld(by_account=frozenset((18_020, 18_021)), by_others=frozenset((18_010, 18_011)))
    try:
        given = prepared(asked, place, held)
    except BystanderError as error:
        assert error.code == code
    else:
        assert code is None
        assert ports_of(asked) <= ports_of(given)


def test_a_port_that_another_program_has_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", 0))
        port = another.getsockname()[1]
        place = RtpPlace(address="127.0.0.1", announced="127.0.0.1", ports=PortRange(1024, 65_535))
        with pytest.raises(BystanderError, match="rtp_port_taken"):
            prepared(asking(port, rtcp_mux=True), place, PortsHeld())


def test_an_account_leaves_ports_to_others() -> None:
    place = RtpPlace(address=OWN_ADDRESS, announced=OWN_ADDRESS, ports=PortRange(18_000, 18_039))
    ours: frozenset[int] = frozenset()
    for _ in range(5):
        ours |= ports_of(prepared(asking(), place, PortsHeld(by_account=ours)))
    free = [port for port in range(18_000, 18_040, 2) if port not in ours]
    for wanted in (asking(), asking(*free[:2])):
        with pytest.raises(BystanderError, match="too_many_rtp_ports"):
            prepared(wanted, place, PortsHeld(by_account=ours))
    assert prepared(asking(), place, PortsHeld(by_others=ours))
    assert pairs_per_account(PortRange(18_000, 18_003)) == 2  # one sender is always taken


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"senders": ["192.0.2.9"]}, "target_not_allowed"),
        ({"senders": ["a.example.org"]}, "invalid_address"),
        ({"audio": None, "video": None}, "invalid_streams"),
        ({"video": RtpStream(codec=RtpCodec.VP8, payload_type=111)}, "invalid_streams"),
        ({"audio": RtpStream(codec=RtpCodec.VP8, payload_type=97)}, "invalid_streams"),
        ({"srtp": SrtpKeys(key="c2hvcnQ=")}, "invalid_key"),
        ({"srtp": SrtpKeys(key=KEY, suite=SrtpSuite.AEAD_AES_256_GCM)}, "invalid_key"),
        ({"srtp": SrtpKeys(key="no base64!")}, "invalid_key"),
    ],
)
def test_what_can_not_be_received_is_refused_at_once(more: dict[str, object], code: str) -> None:
    fields: dict[str, object] = {
        "senders": ["127.0.0.1"],
        "audio": RtpStream(codec=RtpCodec.OPUS, payload_type=111),
        "video": RtpStream(codec=RtpCodec.VP8, payload_type=96),
    }
    with pytest.raises(BystanderError, match=code):
        check_rtp(RtpSource(**{**fields, **more}), ConnectorTargets(["127.0.0.1"]))  # type: ignore[arg-type]


async def test_packets_from_elsewhere_are_not_taken() -> None:
    to = source(rtcp_mux=True)
    async with listening(to) as intake, PlainSender(to, bind="127.0.0.2"):
        (taken,) = intake.sessions.values()
        dropped = taken.peer.statistics.dropped
        await intake.until(lambda: dropped.get("unexpected_sender", 0) > 20)
        assert taken.peer.statistics.packets == 0
        async with PlainSender(to):
            await intake.until(lambda: intake.receives("RTP", "audio", "video"))


async def test_a_sender_hears_what_came_and_is_asked_for_key_frames() -> None:
    to = source(rtcp_mux=True)
    async with listening(to) as intake, PlainSender(to) as sender:
        await intake.until(lambda: intake.receives("RTP", "audio", "video"))
        kinds = {201: "receiver report", 206: "picture loss indication"}
        await intake.until(lambda: kinds.keys() <= {kind for one in sender.reports for kind in types(one)})


def types(compound: bytes) -> list[int]:
    """The packet types of a compound RTCP packet."""
    found, position = [], 0
    while position + 4 <= len(compound):
        found.append(compound[position + 1])
        position += 4 * (1 + int.from_bytes(compound[position + 2 : position + 4]))
    return found


# --- real senders ------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("video", [RtpCodec.VP8, RtpCodec.H264])
async def test_ffmpeg(video: RtpCodec) -> None:
    to = source(video=video)
    async with listening(to) as intake, running(*ffmpeg(to)):
        await intake.until(lambda: intake.receives("RTP", "audio", "video"))
        (taken,) = intake.sessions.values()
        await intake.until(lambda: taken.sink.frames["video"] > 50)
        assert taken.peer.statistics.dropped == {}


@pytest.mark.slow
async def test_ffmpeg_by_srtp_and_with_another_key() -> None:
    to = source(srtp=SrtpKeys(key=KEY))
    async with listening(to) as intake:
        (taken,) = intake.sessions.values()
        async with running(*ffmpeg(to, key=b64encode(bytes(30)).decode())):
            await intake.until(lambda: taken.peer.statistics.dropped.get("srtp_unauthentic", 0) > 20)
        assert taken.peer.statistics.packets == 0
        async with running(*ffmpeg(to, key=KEY)):
            await intake.until(lambda: intake.receives("RTP", "audio", "video"))


@pytest.mark.slow
async def test_gstreamer() -> None:
    to = source()
    async with listening(to) as intake, running(*gstreamer(to)):
        await intake.until(lambda: intake.receives("RTP", "audio", "video"))
        (taken,) = intake.sessions.values()
        await intake.until(lambda: taken.sink.frames["video"] > 50)
        assert taken.peer.statistics.dropped == {}


@pytest.mark.slow
async def test_janus_forwards(tmp_path: Path) -> None:
    to = source()
    audio, video = ports(to)
    streams = [{"mid": "0", "port": audio, "pt": 111}, {"mid": "1", "port": video, "pt": 96}]
    streams[1]["rtcp_port"] = video + 1
    with janus_server(tmp_path) as janus:
        async with (
            JanusPublisher(janus.url, ROOM, "Ada") as ada,
            JanusClient(janus.url) as owner,
            listening(to) as intake,
        ):
            forward = {"request": "rtp_forward", "room": ROOM, "publisher_id": ada.id, "streams": streams}
            await owner.room({**forward, "host": "127.0.0.1"})
            await intake.until(lambda: intake.receives("RTP", "audio", "video"))


@pytest.mark.slow
async def test_a_call_is_recorded_and_a_new_worker_listens_on_the_same_ports(tmp_path: Path) -> None:
    settings = SHORT_FRAGMENTS | {
        "BYSTANDER_CONNECTORS__TARGETS": '["127.0.0.1"]',
        "BYSTANDER_CONNECTORS__RTP_ADDRESS": "127.0.0.1",
    }
    asked = {
        "kind": "rtp",
        "senders": ["127.0.0.1"],
        "audio": {"codec": "opus", "payload_type": 111},
        "video": {"codec": "vp8", "payload_type": 96},
        "name": "Ada",
    }
    with serving(tmp_path / "data", settings) as server:
        async with ApiClient(server) as api:
            call = await Call.begun(api, asked)
            told = (await call.connector())["sdp"]
            found = [int(line.split()[1]) for line in told.splitlines() if line.startswith("m=")]
            to = RtpSource(
                senders=["127.0.0.1"],
                audio=RtpStream(codec=RtpCodec.OPUS, payload_type=111, port=found[0]),
                video=RtpStream(codec=RtpCodec.VP8, payload_type=96, port=found[1]),
            )
            async with running(*ffmpeg(to)):
                await call.until("Ada")
                await call.grows()
                recording = (await call.recording())["id"]
                for worker in server.workers():
                    os.kill(worker, signal.SIGKILL)
                await api.until(recording, "INTERRUPTED")
                await api.until(recording, "RECORDING")
                await call.grows()
            recorded = await call.end()
        assert (recorded["id"], recorded["state"]) == (recording, "AVAILABLE")
        report = check_file(stored_media(server.data_dir / "recordings", recording))
        assert report.ok, report.problems
