"""How long a caller waits: from asking to the entry point, and from an offer to a connection."""

import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
import numpy as np

from recorder.demo.call import Api
from recorder.demo.cast import AGENT
from recorder.demo.main import ON_LOOPBACK
from recorder.demo.publisher import Epoch, VoiceTrack, WhipPublisher, stay_on_loopback
from recorder.demo.server import ServerProcess, serving

RECORDINGS = 30


async def measure() -> None:
    """Start RECORDINGS recordings one after the other and publish sound to each; print p50 and p95."""
    stay_on_loopback()
    with tempfile.TemporaryDirectory() as scratch:
        async with serving(Path(scratch), settings=ON_LOOPBACK) as server:
            starts, answers = await _latencies(server)
    for what, values in (("recording asked for -> entry point", starts), ("offer -> connected", answers)):
        print(
            f"  {what:<36} p50 {np.percentile(values, 50):6.1f} ms   p95 {np.percentile(values, 95):6.1f} ms"
        )


async def _latencies(server: ServerProcess) -> tuple[list[float], list[float]]:
    starts, answers, samples = [], [], AGENT.voice()
    async with aiohttp.ClientSession() as http:
        api = Api(http, server)
        for _ in range(RECORDINGS):
            conversation = await api.create_conversation()
            begun = time.perf_counter()
            recording, entry_point = await api.start_recording(conversation)
            starts.append((time.perf_counter() - begun) * 1000)
            publisher = WhipPublisher(http, url=entry_point.url, token=entry_point.token, query={})
            begun = time.perf_counter()
            await publisher.publish(VoiceTrack(samples, epoch=Epoch()))
            answers.append((time.perf_counter() - begun) * 1000)
            await publisher.leave()
            await api.stop(recording.id)
            await asyncio.wait_for(api.settled(recording.id), 30)
    return starts, answers
