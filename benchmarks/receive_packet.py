"""CPU per received packet: our Peer beside stock aiortc, both receiving the same at the same time.

Each receiver is a process of its own; ours runs under uvloop as a worker does, stock aiortc under the loop
that it comes with, and in a second pass under uvloop too. Its decoders are replaced by ones that do nothing,
so that receiving alone is compared.

Run: python -m benchmarks.receive_packet [--seconds S] [--peers N]
"""

import argparse
import asyncio
import fractions
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import aiortc.rtcrtpreceiver
import av
import numpy as np
import uvloop
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from media.handover.encoded_frame import EncodedFrame, SenderReport, StreamControl
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.network.media import MediaNetwork
from recorder.load.publisher.process import Replay

RATIO_MAX = 0.35  # of stock aiortc's CPU per packet
OURS, STOCK, STOCK_ON_UVLOOP = "ours", "stock", "stock on uvloop"
LOOPBACK = MediaNetwork(interfaces=["127.0.0.1"])
FPS = 30
BITRATE = 1_500_000
WIDTH, HEIGHT = 1280, 720
WARM_UP_S = 4.0  # what media.webrtc.network.udp takes to know its senders, and as much again


class Counting:
    """An EncodedSink that only counts."""

    frames = 0

    def stream_started(self, stream: StreamControl, *, video: bool) -> None: ...
    def frame(self, stream: StreamControl, frame: EncodedFrame) -> None:
        self.frames += 1

    def sender_report(self, stream: StreamControl, report: SenderReport) -> None: ...
    def source_changed(self, stream: StreamControl) -> None: ...
    def stream_ended(self, stream: StreamControl) -> None: ...


class NoDecoder:
    """Takes the place of aiortc's decoders."""

    def decode(self, frame: object) -> list[object]:
        return []


class Ours:
    """Receives with media.webrtc.peer."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []

    async def accept(self, offer: str) -> str:
        peer = Peer(sink=Counting(), clock=SystemClock(), ice_servers=[], network=LOOPBACK)
        self._peers.append(peer)
        return (await peer.accept(offer))[0]

    def packets(self) -> int:
        return sum(peer.statistics.packets for peer in self._peers)

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


class Stock:
    """Receives with aiortc as it is."""

    def __init__(self) -> None:
        self._connections: list[RTCPeerConnection] = []
        self._packets = 0
        inside: Any = aiortc.rtcrtpreceiver
        inside.get_decoder = lambda codec: NoDecoder()
        handle = inside.RTCRtpReceiver._handle_rtp_packet

        async def counted(receiver: Any, packet: Any, arrival_time_ms: int) -> None:
            self._packets += 1
            await handle(receiver, packet, arrival_time_ms)

        inside.RTCRtpReceiver._handle_rtp_packet = counted

    async def accept(self, offer: str) -> str:
        connection = RTCPeerConnection()
        self._connections.append(connection)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def packets(self) -> int:
        return self._packets

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


def receive(pipe: Connection, kind: str) -> None:
    """Child process: answer offers, then say (CPU seconds, packets) whenever asked."""
    run = asyncio.run if kind == STOCK else uvloop.run
    run(_receive(pipe, Ours() if kind == OURS else Stock()))


async def _receive(pipe: Connection, receiver: Ours | Stock) -> None:
    loop = asyncio.get_running_loop()
    while (request := json.loads(await loop.run_in_executor(None, pipe.recv_bytes))) is not None:
        if isinstance(request, str):
            answer: object = await receiver.accept(request)
        else:
            answer = [time.process_time(), receiver.packets()]
        pipe.send_bytes(json.dumps(answer).encode())
    await receiver.close()


def encode_pictures() -> list[bytes]:
    """Three seconds of noise that moves, as H.264 at BITRATE."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate, context.time_base = fractions.Fraction(FPS), fractions.Fraction(1, FPS)
    context.bit_rate = BITRATE
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "nal-hrd": "cbr", "maxrate": "1500k"}
    context.options |= {"bufsize": "300k"}
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    encoded: list[bytes] = []
    for number in range(3 * FPS):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, number * 8, axis=1), format="yuv420p")
        frame.pts = number
        encoded += [bytes(packet) for packet in context.encode(frame)]
    return encoded


async def publish(pipe: Connection, pictures: list[bytes]) -> RTCPeerConnection:
    connection = RTCPeerConnection()
    connection.addTransceiver(Replay("audio", [bytes([0xF8]) + bytes(99)], 960, 48_000), direction="sendonly")
    video = connection.addTransceiver(Replay("video", pictures, 90_000 // FPS, 90_000), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    video.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    await connection.setLocalDescription(await connection.createOffer())
    answer = await _ask(pipe, connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return connection


async def _ask(pipe: Connection, request: object) -> Any:
    pipe.send_bytes(json.dumps(request).encode())
    return json.loads(await asyncio.get_running_loop().run_in_executor(None, pipe.recv_bytes))


async def compare(pipes: dict[str, Connection], *, seconds: float, peers: int) -> dict[str, float]:
    """Microseconds per packet of each receiver."""
    pictures = encode_pictures()
    connections = [await publish(pipe, pictures) for _ in range(peers) for pipe in pipes.values()]
    await asyncio.sleep(WARM_UP_S)
    before = {name: await _ask(pipe, 0) for name, pipe in pipes.items()}
    await asyncio.sleep(seconds)
    after = {name: await _ask(pipe, 0) for name, pipe in pipes.items()}
    for connection in connections:
        await connection.close()
    cost = {}
    for name in pipes:
        cpu_s, packets = (after[name][place] - before[name][place] for place in (0, 1))
        cost[name] = 1e6 * cpu_s / max(1, packets)
        share = 100 * cpu_s / seconds / peers
        print(
            f"  {name:16} {packets:7} packets {cost[name]:7.1f} us a packet {share:6.2f} % of a core a peer"
        )
    return cost


async def measure(*, seconds: float = 12.0, peers: int = 8) -> dict[str, float]:
    """Compare with stock aiortc on either loop, print the cost, return the ratios."""
    ratios = {}
    for stock, label in ((STOCK, "stock aiortc"), (STOCK_ON_UVLOOP, "stock aiortc on uvloop")):
        ratio = await _beside(stock, seconds=seconds, peers=peers)
        print(f"  ratio to {label}: {ratio:.2f} (at most {RATIO_MAX})")
        ratios[f"receiving one packet: CPU to {label}"] = ratio
    return ratios


async def _beside(stock: str, *, seconds: float, peers: int) -> float:
    """Let both receivers receive at the same time."""
    context = multiprocessing.get_context("spawn")
    pipes, children = {}, []
    for name in (OURS, stock):
        pipes[name], other = context.Pipe()
        child = context.Process(target=receive, args=(other, name), daemon=True)
        child.start()
        children.append(child)
    cost = await compare(pipes, seconds=seconds, peers=peers)
    for pipe, child in zip(pipes.values(), children, strict=True):
        pipe.send_bytes(b"null")
        child.join(10)
    return cost[OURS] / cost[stock]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--peers", type=int, default=8)
    arguments = parser.parse_args()
    uvloop.run(measure(seconds=arguments.seconds, peers=arguments.peers))


if __name__ == "__main__":
    main()
