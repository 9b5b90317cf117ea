"""libwebrtc's own receiver, to hold ours against: what it shows and plays, and when."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from benchmarks.fidelity_result import Result, judged
from tests.support.lossy_link import without_candidates

AUDIO_RATE = 48_000
BLOCK_S = 0.01
_TCP = re.compile(r"^a=candidate:\S+ \d+ (?i:tcp) .*\r?\n", re.MULTILINE)


class Judge:
    """Receives one publisher with libwebrtc; everything on the event loop."""

    def __init__(self) -> None:
        os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
        import webrtc  # not installed for anybody else

        self._webrtc: Any = webrtc
        self._connection = webrtc.RTCPeerConnection()
        self._connection.on("track", self._track)
        self._shown: list[tuple[float, float]] = []
        self._sound: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        self._sound_at_s: list[float] = []  # when each of its blocks came
        self._concealed, self._keyframes = 0.0, 0
        self._tasks: list[asyncio.Task[None]] = []

    async def answer(self, offer: str) -> str:
        """What a publisher is answered; it finds us through its link alone."""
        connection, webrtc = self._connection, self._webrtc
        description = webrtc.RTCSessionDescriptionInit("offer", without_candidates(offer))
        await connection.set_remote_description(description)
        await connection.set_local_description(await connection.create_answer())
        async with asyncio.timeout(10):
            while connection.ice_gathering_state != "complete":  # noqa: ASYNC110 - it tells in a thread of its own
                await asyncio.sleep(0.05)
        return _TCP.sub("", connection.local_description.sdp)

    async def count(self) -> None:
        """Take libwebrtc's own counters, before what follows the call is made up."""
        for stats in (await self._connection.get_stats()).values():
            if stats.type == "inbound-rtp" and stats.kind == "audio":
                total = stats.total_samples_received or 0
                silent = stats.silent_concealed_samples or 0  # before the first packet too
                self._concealed = ((stats.concealed_samples or 0) - silent) / total if total else 0.0
            elif stats.type == "inbound-rtp":
                self._keyframes = stats.key_frames_decoded or 0

    async def result(self) -> Result:
        """Stop, and say what was seen and heard."""
        for task in self._tasks:
            task.cancel()
        self._connection.close()
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.float32)
        began = [at_s - (number + 1) * BLOCK_S for number, at_s in enumerate(self._sound_at_s)]
        began_s = float(np.median(began)) if began else 0.0
        return judged(self._shown, sound, began_s, AUDIO_RATE, self._concealed, self._keyframes)

    def _track(self, event: Any) -> None:
        take: Callable[[Any], Awaitable[None]]
        take = self._pictures if event.track.kind == "video" else self._voice
        self._tasks.append(asyncio.create_task(take(event.track)))

    async def _pictures(self, track: Any) -> None:
        async for frame in self._reader(track, 64):
            data = bytearray(frame.allocation_size())
            await frame.copy_to(data)
            luma = np.frombuffer(data, np.uint8)[: frame.coded_width * frame.coded_height // 2]
            self._shown.append((asyncio.get_running_loop().time(), float(luma[::4].mean())))
            frame.close()

    async def _voice(self, track: Any) -> None:
        options = self._webrtc.AudioDataCopyToOptions(plane_index=0, format="f32-planar")
        async for data in self._reader(track, 512):
            self._sound_at_s.append(asyncio.get_running_loop().time())
            block = bytearray(data.allocation_size(options))
            data.copy_to(block, options)
            samples = np.frombuffer(block, np.float32)
            repeats = AUDIO_RATE // int(data.sample_rate)
            self._sound.append(np.repeat(samples, repeats) if repeats > 1 else samples)
            data.close()

    def _reader(self, track: Any, size: int) -> Any:
        options = self._webrtc.MediaStreamTrackProcessorInit(track, max_buffer_size=size)
        return self._webrtc.MediaStreamTrackProcessor(options).readable
