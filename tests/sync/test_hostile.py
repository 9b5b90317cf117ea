"""A peer that sends garbage, floods, or films in 4K costs frames of its own, and nobody else anything."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import psutil
import pytest

from media.handover.encoded_frame import Codec
from tests.support.encoded_source import video_frames
from tests.support.live_call import FPS, LEAD_IN_S, LiveCall, Performance, Recorded, Script
from tests.support.rtp import rtp_bytes
from tests.support.rtp_publisher import PAYLOAD_TYPES, RtpPublisher
from tests.support.simulated_time import simulate

logger = logging.getLogger(__name__)

SECONDS = 6.0
P95_S_MAX, MAX_S = 0.020, 0.045
MIB = 1024 * 1024
GROWTH_BYTES_MAX = 150 * MIB  # a 4K decoder holds 16 pictures of 12 MiB; nothing else may grow
ADA = Script(name="ada", skew_ppm=50)
EVE = Script(name="eve", hertz=1700)


async def garbage(publisher: RtpPublisher) -> None:
    """Well protected nonsense: random headers, payloads, sources, reports."""
    chance = random.Random(7)
    kinds = list(PAYLOAD_TYPES.values())
    for _ in range(round(SECONDS * 50)):
        for _ in range(6):
            source = chance.choice([publisher.sound, publisher.camera])
            assert source is not None
            source.sequence += chance.choice([1, 1, 1, 5, 4_000])  # libsrtp itself refuses to go back
            await publisher.send_raw(
                rtp_bytes(
                    payload_type=chance.choice(kinds),
                    sequence=source.sequence,
                    timestamp=chance.randrange(2**32),
                    ssrc=chance.choice([source.ssrc, chance.randrange(2**32)]),
                    marker=chance.random() < 0.5,
                    payload=chance.randbytes(chance.randrange(1, 900)),
                    padding=chance.choice([0, 0, 5]),
                )
            )
        body = chance.randbytes(4 * chance.randrange(1, 60))
        head = bytes([0x80 | chance.randrange(32), chance.choice([200, 201, 205, 206])])
        await publisher.send_raw(head + (len(body) // 4).to_bytes(2, "big") + body)
        await asyncio.sleep(0.02)


async def loop_of(publisher: RtpPublisher, frames: tuple[bytes, ...], fps: float) -> None:
    """Send the same pictures, of which the first is a key frame, again and again."""
    for number in range(round(SECONDS * fps)):
        at_s = number / fps
        await publisher.send(publisher.camera, Codec.H264, at_s, frames[number % len(frames)])
        await asyncio.sleep(1 / fps)


async def flood(publisher: RtpPublisher) -> None:
    """Ten times the bitrate of a good camera: noise in VGA, 15 Mbit/s."""
    await loop_of(publisher, noise(), FPS)


async def film_in_4k(publisher: RtpPublisher) -> None:
    """Sixty pictures of 3840x2160 a second."""
    await loop_of(publisher, moving_4k(), 60)


def moving_4k() -> tuple[bytes, ...]:
    """Half a second of it."""
    made = video_frames(Codec.H264, (3840, 2160), 60, 0.5, (), 1e6, True)
    return tuple(data for data, _ in made)


@cache
def noise() -> tuple[bytes, ...]:
    """Pictures that nothing can be predicted in."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 640, 480, "yuv420p", Fraction(1, FPS)
    encoder.framerate, encoder.bit_rate, encoder.gop_size = Fraction(FPS), 15_000_000, 1_000
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    chance = np.random.default_rng(4)
    coded = []
    for number in range(FPS):
        planes = chance.integers(16, 235, (720, 640), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        coded.append(b"".join(bytes(packet) for packet in encoder.encode(frame)))
    return tuple(coded)


async def beside(eve: Script, mischief: Callable[[RtpPublisher], Coroutine[Any, Any, None]]) -> Recorded:
    """Record Ada while Eve does that."""
    async with LiveCall(seed=11) as call:
        ada, _ = await call.join(ADA)
        other, _ = await call.join(eve)
        acting = Performance(ADA, SECONDS, asyncio.get_running_loop().time() + LEAD_IN_S)
        await asyncio.gather(acting.run(ada), mischief(other))
        return await call.recorded()


def assert_ada_is_in_sync(recorded: Recorded, eve: Script) -> None:
    found = recorded.of([ADA, eve], 0)
    assert len(found.offsets_s) >= 7, (found, recorded.statistics)
    assert found.p95_s <= P95_S_MAX, (found, recorded.statistics)
    assert found.max_s <= MAX_S, (found, recorded.statistics)


def test_garbage() -> None:
    eve = Script(name="eve", hertz=1700)
    recorded = simulate(beside(eve, garbage))
    assert_ada_is_in_sync(recorded, eve)
    dropped = recorded.statistics.participants[1].dropped
    logger.info("%s %s", dropped, recorded.statistics.dropped)
    assert sum(dropped.values()) > 500
    assert recorded.statistics.participants[0].dropped == {}


@pytest.mark.parametrize("mischief", [flood, film_in_4k])
def test_too_much(mischief: Callable[[RtpPublisher], Coroutine[Any, Any, None]]) -> None:
    eve = Script(name="eve", sound=())
    noise(), moving_4k()  # made before the call, which they would disturb
    before = psutil.Process().memory_info().rss
    recorded = simulate(beside(eve, mischief), threads_take_time=True)  # or decoding would cost nothing
    growth = recorded.statistics.rss_bytes - before
    logger.info("%.0f MiB more, %s %s", growth / MIB, recorded.statistics.dropped, recorded.kinds())
    assert_ada_is_in_sync(recorded, eve)
    assert growth <= GROWTH_BYTES_MAX
