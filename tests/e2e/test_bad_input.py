"""What callers and peers do wrong: each gets a stable code, and the recording that they disturb goes on."""

import asyncio
import os
import random
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from media.check.file import check_file
from media.video.layout import Tile, arrange, fit
from recorder.kernel.conversation import Role
from recorder.kernel.limits import SDP_BYTES_MAX
from recorder.kernel.media import Canvas, SourceKind
from tests.support.aiortc_peer import AiortcPeer
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.pictures import colour_in, picture_at
from tests.support.server import RunningServer
from tests.support.stored import stored_media

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
FROZEN_S = 6.5  # a camera that is silent for five seconds has no picture any more
NOISE_DATAGRAMS = 300


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[ApiClient]:
    async with ApiClient(server) as client:
        yield client


class Whip:
    """A publisher's HTTP side that asserts what it is answered."""

    def __init__(self, http: aiohttp.ClientSession, entry_point: dict[str, Any]) -> None:
        self._http = http
        self.url = entry_point["url"]
        self._token = entry_point["token"]

    async def send(
        self, method: str, body: str | bytes = "", *, url: str | None = None, **headers: str
    ) -> tuple[int, str, aiohttp.ClientResponse]:
        """Status, problem code (or body), response; headers in Python's spelling."""
        told = {"Authorization": f"Bearer {self._token}", "Content-Type": SDP}
        told |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        async with self._http.request(method, url or self.url, data=body, headers=told) as response:
            text = await response.text()
            assert "Traceback" not in text and ".py" not in text
            is_problem = response.content_type == "application/problem+json"
            return response.status, msgspec.json.decode(text)["code"] if is_problem else text, response

    async def refused(
        self, expected: int, code: str, method: str, body: str | bytes = "", **more: str
    ) -> None:
        status, said, _ = await self.send(method, body, **more)
        assert (status, said) == (expected, code)


async def test_every_mistake_at_the_entry_point_has_its_code(api: ApiClient, server: RunningServer) -> None:
    recording = await api.start()
    async with aiohttp.ClientSession() as http, AiortcPeer() as peer:
        whip = Whip(http, recording["entry_point"])
        offer = await peer.offer()
        await refused_offers(whip, offer)
        await whip.refused(401, "unauthorized", "POST", offer, authorization="Bearer wrong")
        await whip.refused(401, "unauthorized", "POST", offer, authorization=f"Bearer {server.api_key}")
        await whip.refused(404, "not_found", "POST", offer, url=another(whip.url))
        await whip.refused(405, "method_not_allowed", "PUT", offer)
        await whip.refused(406, "not_acceptable", "POST", offer, accept="text/html")
        await whip.refused(415, "unsupported_media_type", "POST", offer, content_type="text/plain")

        status, answer, response = await whip.send("POST", offer)
        assert status == 201
        session, tag = str(response.url.join(URL(response.headers["Location"]))), response.headers["ETag"]
        await refused_changes(whip, session, tag, offer)
        await peer.answered(answer)
        await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 1)
        status, _, _ = await whip.send("DELETE", url=session)
        assert status == 200
        await whip.refused(404, "not_found", "DELETE", url=session)
    await ends_whole(api, server, recording)


def another(url: str) -> str:
    """A URL of the same form that nobody was given."""
    return url[:-1] + ("0" if url[-1] != "0" else "1")


async def refused_offers(whip: Whip, offer: str) -> None:
    """Bodies that are no offer of ours."""
    for body in (
        "",
        "hello",
        offer.partition("a=ice-ufrag")[0],
        offer.replace("a=fingerprint", "a=x"),
        "v=0" * 999,
    ):
        await whip.refused(400, "malformed_sdp", "POST", body)
    await whip.refused(400, "invalid_text", "POST", b"v=0\r\n\xff\xfe")
    await whip.refused(422, "no_media_sent", "POST", "v=0\r\n")
    largest = offer + "a=x\r\n" * SDP_BYTES_MAX
    status, code, _ = await whip.send("POST", largest[:SDP_BYTES_MAX])
    assert status in (201, 400), code
    await whip.refused(413, "body_too_large", "POST", largest[: SDP_BYTES_MAX + 1])
    foreign = re.sub(r"(opus|VP8|H264|PCM[AU]|G722)/", "unheard-of/", offer)
    await whip.refused(422, "unsupported_codecs", "POST", foreign)
    await whip.refused(422, "no_media_sent", "POST", offer.replace("a=sendonly", "a=recvonly"))


async def refused_changes(whip: Whip, session: str, tag: str, offer: str) -> None:
    """What a session does not take."""
    await whip.refused(409, "offer_repeated", "POST", offer, url=session)
    credentials = "".join(re.findall(r"a=ice-(?:ufrag|pwd):.*\r\n", offer)[:2])
    candidate = (
        f"{credentials}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
    )
    trickle = {"url": session, "content_type": FRAGMENT}
    await whip.refused(412, "stale_ice_session", "PATCH", candidate, if_match='"stale"', **trickle)
    await whip.refused(428, "if_match_required", "PATCH", candidate, **trickle)
    await whip.refused(400, "malformed_sdp", "PATCH", "hello", if_match=tag, **trickle)
    await whip.refused(415, "unsupported_media_type", "PATCH", candidate, url=session, if_match=tag)
    trickle["url"] = another(session)
    await whip.refused(404, "not_found", "PATCH", candidate, if_match=tag, **trickle)


async def ends_whole(api: ApiClient, server: RunningServer, recording: dict[str, Any]) -> Path:
    """Stop the recording; nothing is wrong with it."""
    await api.stop(recording["id"])
    over = await api.until(recording["id"], "AVAILABLE", "FAILED")
    assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
    path = stored_media(server.data_dir / "recordings", recording["id"])
    report = await asyncio.to_thread(check_file, path)
    assert report.ok, report.problems
    return path


async def test_noise_on_the_media_port_does_not_reach_the_recording(
    api: ApiClient, server: RunningServer
) -> None:
    recording = await api.start()
    chance = random.Random(11)
    async with api.publishing(recording["entry_point"], participant="ada", name="Ada") as peer:
        await api.until(recording["id"], "RECORDING")
        targets = hosts(peer.connection.remoteDescription.sdp)
        assert targets
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            for number in range(NOISE_DATAGRAMS):
                first = (0x00, 0x16, 0x40, 0x80, 0x90, 0xC8, 0xFF)[number % 7]  # STUN, DTLS, RTP, RTCP, none
                noise = bytes([first]) + chance.randbytes(chance.randrange(0, 1400))
                for host in targets:
                    attacker.sendto(noise, host)
        before = (await api.recording(recording["id"]))["duration_s"] or 0
        await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > before + 1)
    await ends_whole(api, server, recording)


def hosts(sdp: str) -> list[tuple[str, int]]:
    """Where the answer says that media is taken."""
    found = re.findall(r"a=candidate:\S+ 1 udp \d+ ([\d.]+) (\d+) typ host", sdp)
    return [(address, int(port)) for address, port in found]


LAG_S_MAX = 4.0  # of what is said of a recording behind what is being recorded: a fragment, and its rendering


@pytest.mark.slow
async def test_a_peer_that_vanishes_leaves_the_others_recorded(api: ApiClient, server: RunningServer) -> None:
    recording = await api.start()
    entry_point, identity = recording["entry_point"], recording["id"]
    vanishing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder.demo.person"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert vanishing.stdin is not None and vanishing.stdout is not None
    told = {
        "person": "bruno",
        "url": entry_point["url"],
        "token": entry_point["token"],
        "width": 320,
        "height": 180,
        "loopback": False,
    }
    async with joined(entry_point, *camera(Card((200, 40, 40)), 700), participant="ada", name="Ada"):
        vanishing.stdin.write(msgspec.json.encode(told) + b"\n")
        assert await vanishing.stdout.readline() == b"joined\n"
        before_s = (await api.recording(identity))["duration_s"] or 0
        until = await api.until_it(identity, lambda now: (now["duration_s"] or 0) > before_s + LAG_S_MAX)
        os.kill(vanishing.pid, signal.SIGKILL)
        await vanishing.wait()
        gone_s = until["duration_s"]
        await api.until_it(identity, lambda now: now["duration_s"] > gone_s + FROZEN_S + 1)
        path = await ends_whole(api, server, recording)
    there = await asyncio.to_thread(second_tile, path, gone_s - 0.3)
    gone = await asyncio.to_thread(second_tile, path, gone_s + FROZEN_S)
    assert sum(there) > 400 > sum(gone), (there, gone)  # a bright wall, and then a dark tile with a name


def second_tile(path: Path, at_s: float) -> tuple[int, int, int]:
    canvas = Canvas()
    tiles = [Tile(key, key, Role.VISITOR, SourceKind.CAMERA, True) for key in "ab"]
    region = fit(320, 180, arrange(canvas, tiles)[1])
    return colour_in(picture_at(path, at_s), region)
