// werift: WebRTC in TypeScript. Arguments: where its packages are, the endpoint, the codec, the clip.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { send } from "./rtp_source.mjs";

const [packages, url, codec, film] = process.argv.slice(2);
const wanted = createRequire(`${packages}/`);
const { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpPacket } = wanted("werift");
const version = JSON.parse(readFileSync(`${packages}/node_modules/werift/package.json`)).version;

const parameters = codec === "H264" ? "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1" : undefined;
const connection = new RTCPeerConnection({
  codecs: {
    audio: [new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48000, channels: 2 })],
    video: [new RTCRtpCodecParameters({ mimeType: `video/${codec}`, clockRate: 90000, rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }], parameters })],
  },
});
const sound = new MediaStreamTrack({ kind: "audio" }), pictures = new MediaStreamTrack({ kind: "video" });
connection.addTransceiver(sound, { direction: "sendonly" });
connection.addTransceiver(pictures, { direction: "sendonly" });
await connection.setLocalDescription(await connection.createOffer());
const response = await fetch(url, { method: "POST", body: connection.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
const began = performance.now();
await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
while (connection.connectionState !== "connected") await new Promise((resolve) => setTimeout(resolve, 2));
const connected_ms = performance.now() - began;
const sent = await send(film, codec, {
  numbers: [111, 96],
  onSound: (packet) => sound.writeRtp(RtpPacket.deSerialize(packet)),
  onPicture: (packet) => pictures.writeRtp(RtpPacket.deSerialize(packet)),
});
process.stdout.write(JSON.stringify({ version, connected_ms, sent }) + "\n");
process.exit(0);
