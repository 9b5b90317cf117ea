"""Somebody who sends plain RTP: Opus and VP8 from a socket of their own, with BYE at the end."""

import asyncio
import socket
import struct
from types import TracebackType

from aiortc.codecs.vpx import Vp8Encoder

from media.handover.encoded_frame import Codec
from recorder.kernel.connectors.source import RtpSource, RtpStream
from tests.support.encoded_source import opus_packets, video_frames
from tests.support.rtp import rtp_bytes

PACKET_S = 0.02
PICTURES_EVERY = 2  # packets of sound
BEGINS_AT = 10  # in packets of sound: its first picture is no key frame
AUDIO_SSRC, VIDEO_SSRC = 0xA0D10, 0x71DE0


class PlainSender:
    """Sends for the length of the block; `reports` has what came back to it."""

    def __init__(self, source: RtpSource, *, host: str = "127.0.0.1", bind: str = "127.0.0.1") -> None:
        self._source = source
        self._host = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((bind, 0))
        self.socket.setblocking(False)
        self.reports: list[bytes] = []

    async def __aenter__(self) -> "PlainSender":
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        for stream, ssrc in ((self._source.audio, AUDIO_SSRC), (self._source.video, VIDEO_SSRC)):
            if stream is not None:
                self._to(stream.port, struct.pack("!BBHIBBHI", 0x80, 201, 1, ssrc, 0x81, 203, 1, ssrc))
        self.socket.close()

    async def _send(self) -> None:
        sound = opus_packets(1.0, ())
        pictures = video_frames(Codec.VP8, (64, 64), 25, 1.0, (), moving=True)
        number, picture = BEGINS_AT, 0
        while True:
            if self._source.audio is not None:
                data = sound[number % len(sound)]
                self._packet(self._source.audio, AUDIO_SSRC, number, number * 960, data, marker=False)
            if self._source.video is not None and number % PICTURES_EVERY == 0:
                index = number // PICTURES_EVERY
                parts = Vp8Encoder._packetize(pictures[index % len(pictures)][0], index % 2**15)
                for part in parts:
                    last = part is parts[-1]
                    self._packet(self._source.video, VIDEO_SSRC, picture, index * 3600, part, marker=last)
                    picture += 1
            self._hear()
            number += 1
            await asyncio.sleep(PACKET_S)

    def _packet(
        self, stream: RtpStream, ssrc: int, sequence: int, timestamp: int, payload: bytes, *, marker: bool
    ) -> None:
        data = rtp_bytes(
            payload_type=stream.payload_type,
            sequence=sequence % 2**16,
            timestamp=timestamp,
            ssrc=ssrc,
            marker=marker,
            payload=payload,
        )
        self.socket.sendto(data, (self._host, stream.port))

    def _to(self, port: int, data: bytes) -> None:
        self.socket.sendto(data, (self._host, port if self._source.rtcp_mux else port + 1))

    def _hear(self) -> None:
        while True:
            try:
                self.reports.append(self.socket.recv(2048))
            except BlockingIOError:
                return
