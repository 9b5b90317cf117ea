"""Attacks of who may send media, by the media."""

import asyncio
import random

from media.handover.encoded_frame import Codec
from tests.attacks.scene import Scene, connected
from tests.attacks.table import attack
from tests.media.test_decoding import sps
from tests.support.aiortc_peer import AiortcPeer
from tests.support.rtp import rtp_bytes
from tests.support.rtp_publisher import PAYLOAD_TYPES

PACKETS = 300
PACKET_EVERY = 30  # so many at once
START = b"\x00\x00\x00\x01"
FRAME_S = 0.04


@attack("publisher", "every packet twice", "they are in it once", in_call=True)
async def everything_twice(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        _, _, answer = await scene.offered("VISITOR", await peer.offer())
        transport = peer.connection.getTransceivers()[0].sender.transport.transport
        send = transport._send

        async def twice(data: bytes) -> None:
            await send(data)
            await send(data)

        transport._send = twice
        await peer.answered(answer)
        await connected(peer)
        await asyncio.sleep(10 * FRAME_S)  # some dozen packets, twice


@attack("publisher", "packets whose payloads are of no codec", "their pictures and sound", in_call=True)
async def payloads_of_no_codec(scene: Scene) -> None:
    chance = random.Random(5)
    async with scene.sending("VISITOR") as publisher:
        sources = {Codec.OPUS: publisher.sound, Codec.VP8: publisher.camera, Codec.H264: publisher.camera}
        for number in range(PACKETS):
            codec = chance.choice(list(sources))
            source = sources[codec]
            assert source is not None
            await publisher.send_raw(
                rtp_bytes(
                    payload_type=PAYLOAD_TYPES[codec],
                    sequence=source.sequence + number,
                    timestamp=source.timestamp_base + number * 960,
                    ssrc=source.ssrc,
                    marker=chance.random() < 0.5,
                    payload=chance.randbytes(chance.randrange(1, 1200)),
                )
            )
            if number % PACKET_EVERY == 0:
                await asyncio.sleep(FRAME_S)


@attack("publisher", "key frames of 16,000 x 16,000, and of many references", "their pictures", in_call=True)
async def pictures_that_cost_too_much(scene: Scene) -> None:
    async with scene.sending("VISITOR") as publisher:
        vp8 = b"\x10\x02\x00\x9d\x01\x2a" + (16_000).to_bytes(2, "little") * 2 + bytes(600)
        for number in range(20):
            references = 16 if number % 2 else 1
            size = (4096, 2304) if number % 2 else (16_000, 16_000)
            h264 = START + sps(*size, references=references)
            h264 += START + b"\x68\xce\x3c\x80" + START + b"\x65\x88" + bytes(600)
            await publisher.send(
                publisher.camera,
                Codec.H264 if number % 3 else Codec.VP8,
                number * FRAME_S,
                h264 if number % 3 else vp8,
            )
            await asyncio.sleep(FRAME_S / 2)
