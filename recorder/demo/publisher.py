"""A WHIP client (RFC 9725) on aiortc that sends a scene and a voice in real time."""

import asyncio
import contextlib
import fractions
import time

import aiohttp
import aioice.ice
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from yarl import URL

from recorder.demo.scene import Scene
from recorder.demo.voice import SAMPLE_RATE, Samples

_AUDIO_FRAME_SAMPLES = SAMPLE_RATE // 50  # 20 ms, what browsers send
_VIDEO_CLOCK = 90_000
_SET_UP_S_MAX = 15.0
SESSION_CHECK_S = 0.2
AGAIN_AFTER_S = 0.1
AGAIN_MAX = 200


class Epoch:
    """The instant at which the scene of one participant begins, shared by its picture and its sound."""

    def __init__(self) -> None:
        self._start: float | None = None

    async def reach(self, at_s: float) -> None:
        """Wait until `at_s` seconds after the first call on this epoch."""
        now = time.monotonic()
        if self._start is None:
            self._start = now
        if (early := self._start + at_s - now) > 0:
            await asyncio.sleep(early)


class SceneTrack(MediaStreamTrack):
    """A scene as a video track at `fps`."""

    kind = "video"

    def __init__(self, scene: Scene, *, fps: int, epoch: Epoch) -> None:
        super().__init__()
        self._scene, self._fps, self._epoch, self._index = scene, fps, epoch, 0

    async def recv(self) -> av.VideoFrame:
        at_s = self._index / self._fps
        await self._epoch.reach(at_s)
        rgb = np.asarray(self._scene.picture(at_s))
        frame: av.VideoFrame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        frame.pts = self._index * _VIDEO_CLOCK // self._fps
        frame.time_base = fractions.Fraction(1, _VIDEO_CLOCK)
        self._index += 1
        return frame


class VoiceTrack(MediaStreamTrack):
    """Samples as an audio track; after their end it starts over."""

    kind = "audio"

    def __init__(self, samples: Samples, *, epoch: Epoch) -> None:
        super().__init__()
        self._samples, self._epoch, self._position = samples, epoch, 0

    async def recv(self) -> av.AudioFrame:
        await self._epoch.reach(self._position / SAMPLE_RATE)
        places = np.arange(self._position, self._position + _AUDIO_FRAME_SAMPLES) % self._samples.size
        frame = av.AudioFrame.from_ndarray(self._samples[places].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._position
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self._position += _AUDIO_FRAME_SAMPLES
        return frame


class EntryPointGoneError(RuntimeError):
    """Nothing is published there any more."""


class WhipPublisher:
    """Publishes tracks to one entry point and leaves again; one session, one WHIP resource."""

    def __init__(self, http: aiohttp.ClientSession, *, url: str, token: str, query: dict[str, str]) -> None:
        self._http, self._url, self._query = http, url, query
        self._headers = {"Authorization": f"Bearer {token}"}
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._resource: str | None = None
        self._etag = ""

    async def stay(self, *tracks: MediaStreamTrack, codec: str = "video/H264") -> None:
        """Stay published until cancelled: again whenever the recorder knows the session no more.

        Its worker was lost then, and another one goes on with the recording. ICE notices it much later.
        """
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            if await self._is_lost():
                await self._publish_again(tracks, codec)

    async def _is_lost(self) -> bool:
        """Whether the session, asked by a fragment that says nothing new, is unknown.

        While no server answers, its worker may go on: then nothing is lost.
        """
        if self._resource is None:
            return True
        body = "a=end-of-candidates\r\n"
        kind = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": self._etag}
        try:
            async with self._http.patch(self._resource, data=body, headers=self._headers | kind) as response:
                return response.status in (404, 503)
        except aiohttp.ClientConnectionError:
            return False

    async def _publish_again(self, tracks: tuple[MediaStreamTrack, ...], codec: str) -> None:
        await self._peer.close()
        self._resource = None
        for _ in range(AGAIN_MAX):
            self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            try:
                return await self.publish(*tracks, codec=codec)
            except EntryPointGoneError:  # the recording is over
                await asyncio.Event().wait()
            except (RuntimeError, aiohttp.ClientConnectionError):  # no worker yet, or no server
                await self._peer.close()
                await asyncio.sleep(AGAIN_AFTER_S)
        raise RuntimeError("the recorder does not take the session back")

    async def publish(self, *tracks: MediaStreamTrack, codec: str = "video/H264") -> None:
        """Offer the tracks, take the answer, return when ICE and DTLS are up; RuntimeError when not."""
        for track in tracks:
            transceiver = self._peer.addTransceiver(track, direction="sendonly")
            if track.kind == "video":
                codecs = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([c for c in codecs if c.mimeType == codec])
        await self._peer.setLocalDescription(await self._peer.createOffer())
        answer = await self._post(self._peer.localDescription.sdp)
        await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(self._connected(), _SET_UP_S_MAX)

    async def leave(self) -> None:
        """DELETE the resource and close the connection."""
        if self._resource is not None:
            with contextlib.suppress(aiohttp.ClientConnectionError):  # there is no server to tell
                async with self._http.delete(self._resource, headers=self._headers) as response:
                    await response.read()
        await self._peer.close()

    async def _post(self, offer: str) -> str:
        headers = {**self._headers, "Content-Type": "application/sdp"}
        async with self._http.post(self._url, params=self._query, data=offer, headers=headers) as response:
            body = await response.text()
            if response.status == 404:
                raise EntryPointGoneError(body)
            if response.status != 201:
                raise RuntimeError(f"the entry point answered {response.status}: {body}")
            self._resource = str(response.url.join(URL(response.headers["Location"])))
            self._etag = response.headers["ETag"]
            return body

    async def _connected(self) -> None:
        changed = asyncio.Event()
        self._peer.on("connectionstatechange", changed.set)
        while self._peer.connectionState not in ("connected", "failed", "closed"):
            await changed.wait()
            changed.clear()
        if self._peer.connectionState != "connected":
            raise RuntimeError(f"the connection is {self._peer.connectionState}")


def stay_on_loopback() -> None:
    """Let ICE in this process offer 127.0.0.1 alone: a demo needs no network and leaves no trace on one."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []
