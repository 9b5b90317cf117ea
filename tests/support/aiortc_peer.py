"""A publisher made of stock aiortc: real ICE, DTLS, SRTP and codecs, for tests of the receiving side."""

import asyncio
import fractions
import re
from collections.abc import Sequence
from types import TracebackType

import numpy as np
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from av import VideoFrame

from recorder.kernel.media import IceServer
from tests.support.ice_session import IceRestarts


class MovingBar(MediaStreamTrack):
    """A grey picture with a white bar that moves one column a frame."""

    kind = "video"

    def __init__(self, *, width: int = 320, height: int = 240, fps: int = 25) -> None:
        super().__init__()
        self._size = (height, width)
        self._fps = fps
        self._count = 0
        self._started_at: float | None = None

    async def recv(self) -> VideoFrame:
        loop = asyncio.get_running_loop()
        if self._started_at is None:
            self._started_at = loop.time()
        await asyncio.sleep(max(0.0, self._started_at + self._count / self._fps - loop.time()))
        picture = np.full((*self._size, 3), 128, np.uint8)
        column = self._count * 4 % self._size[1]
        picture[:, column : column + 8] = 255
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = self._count * 90_000 // self._fps
        frame.time_base = fractions.Fraction(1, 90_000)
        self._count += 1
        return frame


class AiortcPeer:
    """Publishes one audio and one video track; the offer holds host candidates of `host` only."""

    def __init__(
        self,
        *,
        video_codec: str | None = "video/H264",
        audio: bool = True,
        ice_servers: Sequence[IceServer] = (),
        relay_only: bool = False,
        retransmission: bool = True,
    ) -> None:
        self._retransmission = retransmission
        self._restarts = IceRestarts()
        servers = [
            RTCIceServer(urls=s.urls, username=s.username, credential=s.credential) for s in ice_servers
        ]
        policy = RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=servers, iceTransportPolicy=policy))
        if audio:
            self.connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
        if video_codec is not None:
            transceiver = self.connection.addTransceiver(MovingBar(), direction="sendonly")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType in (video_codec, "video/rtx")])

    async def __aenter__(self) -> "AiortcPeer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()
        await self._restarts.close()

    async def offer(self) -> str:
        """Gather and return the offer's SDP."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp: str = self.connection.localDescription.sdp
        return sdp if self._retransmission else re.sub(r"a=rtcp-fb:\d+ nack\r\n", "", sdp)

    async def answered(self, answer: str) -> None:
        """Begin to connect and send."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def new_ice_session(self, relay: IceServer | None = None) -> str:
        """Gather anew and return the fragment that asks for an ICE restart, which aiortc does not know."""
        return await self._restarts.ask(relay)

    async def move_to(self, fragment: str) -> None:
        """Connect the new session to what the restart was answered with, and send through it from now on."""
        session = await self._restarts.answered(fragment)
        for transceiver in self.connection.getTransceivers():
            transceiver.sender.transport.transport._send = session.send
