"""GStreamer's webrtcbin, run by the system's Python. Arguments: the endpoint, the codec, pictures, sound."""

import json
import sys
import threading
import time
import urllib.request
from pathlib import Path

import gi  # type: ignore[import-not-found]  # Debian's

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # type: ignore[import-not-found]  # noqa: E402

SECONDS, FPS, RATE = 10, 25, 48_000
PICTURE_BYTES, TEN_MS_BYTES = 320 * 240 * 3 // 2, RATE // 100 * 2
CODERS = {
    "VP8": "vp8enc deadline=1 cpu-used=8 target-bitrate=600000 keyframe-max-dist=50 ! rtpvp8pay pt=96",
    "VP9": "vp9enc deadline=1 cpu-used=8 target-bitrate=600000 keyframe-max-dist=50 ! rtpvp9pay pt=96",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=600 key-int-max=50 ! "
    "video/x-h264,profile=constrained-baseline ! rtph264pay pt=96 config-interval=-1",
}
PIPELINE = """
    webrtcbin name=peer bundle-policy=max-bundle
    appsrc name=sound is-live=true format=time
        caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved !
        queue ! audioconvert ! opusenc ! rtpopuspay pt=111 !
        application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! peer.
    appsrc name=pictures is-live=true format=time
        caps=video/x-raw,format=I420,width=320,height=240,framerate=25/1 !
        queue ! {coder} ! application/x-rtp,media=video,encoding-name={codec},payload=96 ! peer.
"""


class Publisher:
    """Sends the first picture and silence until it is connected, then the clip, then ends."""

    def __init__(self, url: str, codec: str, pictures: bytes, sound: bytes) -> None:
        self.url, self.pictures, self.sound = url, pictures, sound
        self.pipeline = Gst.parse_launch(PIPELINE.format(coder=CODERS[codec], codec=codec))
        self.peer = self.pipeline.get_by_name("peer")
        self.loop = GLib.MainLoop()
        self.sent = 0
        self.connected_ms = -1.0
        self.began = 0.0
        self.connected = threading.Event()
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.changed)

    def run(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.feed, daemon=True).start()
        GLib.timeout_add(1500, self.negotiate)  # once both of its pads know what they carry
        GLib.timeout_add_seconds(40, self.loop.quit)
        self.loop.run()
        version = ".".join(map(str, Gst.version()[:3]))
        said = {"version": version, "connected_ms": self.connected_ms, "sent": self.sent}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        self.pipeline.set_state(Gst.State.NULL)

    def feed(self) -> None:
        pictures, sound = self.pipeline.get_by_name("pictures"), self.pipeline.get_by_name("sound")
        zero, tick, clip_from = time.monotonic(), 0, None
        while clip_from is None or tick - clip_from < SECONDS * 100:
            time.sleep(max(0.0, zero + tick / 100 - time.monotonic()))
            if clip_from is None and self.connected.is_set() and tick % 4 == 0:
                clip_from = tick
            at = 0 if clip_from is None else tick - clip_from
            silence = bytes(TEN_MS_BYTES)
            heard = silence if clip_from is None else self.sound[at * TEN_MS_BYTES : (at + 1) * TEN_MS_BYTES]
            self.push(sound, heard, tick, 1)
            if tick % 4 == 0:
                number = at // 4
                shown = self.pictures[number * PICTURE_BYTES : (number + 1) * PICTURE_BYTES]
                self.push(pictures, shown, tick, 4)
                self.sent += 1  # webrtcbin keeps what comes before it is connected
            tick += 1
        GLib.timeout_add(500, self.loop.quit)

    def push(self, source: object, data: bytes, tick: int, ticks: int) -> None:
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts, buffer.duration = tick * Gst.SECOND // 100, ticks * Gst.SECOND // 100
        source.emit("push-buffer", buffer)  # type: ignore[attr-defined]

    def negotiate(self) -> bool:
        promise = Gst.Promise.new()
        self.peer.emit("create-offer", None, promise)
        promise.wait()
        reply = promise.get_reply()  # it owns what it holds
        self.peer.emit("set-local-description", reply.get_value("offer"), None)
        return False

    def gathered(self, *_: object) -> None:
        if self.peer.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        offer = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self.url, offer.encode(), {"Content-Type": "application/sdp"})
        answer = urllib.request.urlopen(request).read()
        _, sdp = GstSdp.SDPMessage.new_from_text(answer.decode())
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.began = time.monotonic()
        self.peer.emit("set-remote-description", described, None)

    def changed(self, *_: object) -> None:
        if self.peer.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            self.connected_ms = (time.monotonic() - self.began) * 1000
            self.connected.set()


Gst.init(None)
Publisher(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes(), Path(sys.argv[4]).read_bytes()).run()
