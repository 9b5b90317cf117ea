// @roamhq/wrtc: libwebrtc in Node. Arguments: where its packages are, the endpoint, the codec, pictures, sound.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [packages, url, codec, picturesFile, soundFile] = process.argv.slice(2);
const wanted = createRequire(`${packages}/`);
const wrtc = wanted("@roamhq/wrtc");
const version = JSON.parse(readFileSync(`${packages}/node_modules/@roamhq/wrtc/package.json`)).version;
const [width, height, fps, rate] = [320, 240, 25, 48_000];
const pictures = readFileSync(picturesFile), sound = readFileSync(soundFile);

const video = new wrtc.nonstandard.RTCVideoSource(), audio = new wrtc.nonstandard.RTCAudioSource();
const connection = new wrtc.RTCPeerConnection();
const stream = new wrtc.MediaStream();
connection.addTransceiver(audio.createTrack(), { direction: "sendonly", streams: [stream] });
const camera = connection.addTransceiver(video.createTrack(), { direction: "sendonly", streams: [stream] });
const prefer = (sdp) => { // it has no setCodecPreferences
  const lines = sdp.split("\r\n"), at = lines.findIndex((line) => line.startsWith("m=video"));
  const number = lines.find((line) => line.startsWith("a=rtpmap:") && line.includes(`${codec}/90000`))?.match(/:(\d+)/)[1];
  if (!number) throw new Error(`no ${codec}`);
  const words = lines[at].split(" ");
  lines[at] = [...words.slice(0, 3), number, ...words.slice(3).filter((word) => word !== number)].join(" ");
  return lines.join("\r\n");
};
const offer = await connection.createOffer();
await connection.setLocalDescription({ type: "offer", sdp: prefer(offer.sdp) });
const response = await fetch(url, { method: "POST", body: connection.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
const began = performance.now();
await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
while (connection.connectionState !== "connected") await new Promise((resolve) => setTimeout(resolve, 2));
const connected_ms = performance.now() - began;

const size = (width * height * 3) / 2, ten = rate / 100;
const zero = performance.now();
let shown = 0, played = 0;
while (played * 10 < 10_000) {
  const now = performance.now() - zero;
  while (played * 10 <= now && played * 10 < 10_000) {
    const samples = new Int16Array(sound.buffer.slice(sound.byteOffset + played * ten * 2, sound.byteOffset + (played + 1) * ten * 2));
    audio.onData({ samples, sampleRate: rate, bitsPerSample: 16, channelCount: 1, numberOfFrames: ten });
    played += 1;
  }
  while ((shown * 1000) / fps <= now && shown < 250) {
    video.onFrame({ width, height, data: new Uint8ClampedArray(pictures.subarray(shown * size, (shown + 1) * size)) });
    shown += 1;
  }
  await new Promise((resolve) => setTimeout(resolve, 3));
}
const stats = [...(await connection.getStats()).values()];
const sent = stats.find((each) => each.type === "outbound-rtp" && each.kind === "video")?.framesEncoded ?? shown;
process.stdout.write(JSON.stringify({ version, connected_ms, sent }) + "\n");
process.exit(0);
