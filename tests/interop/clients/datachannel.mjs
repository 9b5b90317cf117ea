// node-datachannel: libdatachannel in Node. Arguments: where its packages are, the endpoint, the codec, the clip.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { send } from "./rtp_source.mjs";

const [packages, url, codec, film] = process.argv.slice(2);
const wanted = createRequire(`${packages}/`);
const nodeDataChannel = wanted("node-datachannel");
const version = JSON.parse(readFileSync(`${packages}/node_modules/node-datachannel/package.json`)).version;

const [soundSource, pictureSource] = [1111, 2222];
const connection = new nodeDataChannel.PeerConnection("publisher", { iceServers: [] });
const described = new Promise((resolve) => connection.onGatheringStateChange((state) => state === "complete" && resolve()));
const joined = new Promise((resolve) => connection.onStateChange((state) => state === "connected" && resolve(performance.now())));
const audio = new nodeDataChannel.Audio("audio", "SendOnly");
audio.addOpusCodec(111);
audio.addSSRC(soundSource, "sound", "stream", "sound");
const video = new nodeDataChannel.Video("video", "SendOnly");
({ VP8: () => video.addVP8Codec(96), VP9: () => video.addVP9Codec(96), H264: () => video.addH264Codec(96) })[codec]();
video.addSSRC(pictureSource, "sound", "stream", "pictures");
const sound = connection.addTrack(audio), pictures = connection.addTrack(video);
globalThis.keeps = connection; // or it is collected, and closed
connection.setLocalDescription();
await described;
const response = await fetch(url, { method: "POST", body: connection.localDescription().sdp, headers: { "Content-Type": "application/sdp" } });
if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
const began = performance.now();
connection.setRemoteDescription(await response.text(), "answer");
const connected_ms = (await joined) - began;
const from = (source, packet) => {
  packet.writeUInt32BE(source, 8);
  return packet;
};
const sent = await send(film, codec, {
  numbers: [111, 96],
  onSound: (packet) => sound.sendMessageBinary(from(soundSource, packet)),
  onPicture: (packet) => pictures.sendMessageBinary(from(pictureSource, packet)),
});
process.stdout.write(JSON.stringify({ version, connected_ms, sent }) + "\n");
process.exit(0);
