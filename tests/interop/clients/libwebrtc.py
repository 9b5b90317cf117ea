"""PyPI's wrtc: libwebrtc in Python. Arguments: the endpoint, the codec, pictures, sound."""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import webrtc  # type: ignore[import-not-found]  # installed for this alone

WIDTH, HEIGHT, FPS, RATE = 320, 240, 25, 48_000
TEN_MS = RATE // 100 * 2


async def main(url: str, codec: str, pictures: bytes, sound: bytes) -> None:
    connection = webrtc.RTCPeerConnection()
    camera = webrtc.MediaStreamTrackGenerator("video")
    microphone = webrtc.MediaStreamTrackGenerator("audio")
    connection.add_track(microphone)
    sender = connection.add_track(camera)
    known = webrtc.RTCRtpSender.get_capabilities("video").codecs
    chosen = [each for each in known if each.mime_type.lower() == f"video/{codec}".lower()]
    rest = [each for each in known if each.mime_type.lower() == "video/rtx"]
    transceiver = next(each for each in connection.get_transceivers() if each.sender == sender)
    transceiver.set_codec_preferences(chosen + rest)
    await connection.set_local_description(await connection.create_offer())
    while str(connection.ice_gathering_state) not in ("complete", "RTCIceGatheringState.complete"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    request = urllib.request.Request(url, connection.local_description.sdp.encode(), method="POST")
    request.add_header("Content-Type", "application/sdp")
    answer = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read().decode())
    began = time.monotonic()
    await connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer))
    while not str(connection.connection_state).endswith((".connected", "connected")):  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    connected_ms = (time.monotonic() - began) * 1000
    await play(camera, microphone, pictures, sound)
    stats = list((await connection.get_stats()).values())
    sent = next((s.frames_encoded for s in stats if getattr(s, "frames_encoded", None)), 250)
    said = {"version": version("wrtc"), "connected_ms": connected_ms, "sent": sent}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def play(camera: object, microphone: object, pictures: bytes, sound: bytes) -> None:
    """Ten seconds, in their time."""
    showing, speaking = camera.writable.get_writer(), microphone.writable.get_writer()  # type: ignore[attr-defined]
    size = WIDTH * HEIGHT * 3 // 2
    zero, shown, played = time.monotonic(), 0, 0
    while played < 1000:
        now = time.monotonic() - zero
        while played <= now * 100 and played < 1000:
            init = webrtc.AudioDataInit(
                format="s16", sample_rate=RATE, number_of_frames=RATE // 100, number_of_channels=1,
                timestamp=played * 10_000, data=sound[played * TEN_MS : (played + 1) * TEN_MS],
            )  # fmt: skip
            await speaking.write(webrtc.AudioData(init))
            played += 1
        while shown <= now * FPS and shown < 10 * FPS:
            init = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=WIDTH,
                coded_height=HEIGHT,
                timestamp=round((zero + shown / FPS) * 1e6),
            )
            await showing.write(webrtc.VideoFrame(pictures[shown * size : (shown + 1) * size], init))
            shown += 1
        await asyncio.sleep(0.003)


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes(), Path(sys.argv[4]).read_bytes()))
