// RTP that ffmpeg makes of the clip, in real time: packets of sound and pictures, handed over as they come.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";

const CODERS = {
  VP8: ["libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0"],
  VP9: ["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
  H264: ["libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p"],
};

const bound = (handle) =>
  new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.on("message", handle);
    socket.bind(0, "127.0.0.1", () => resolve(socket));
  });

/** Resolves when the clip is over, to how many pictures were sent. */
export async function send(film, codec, { onSound, onPicture, numbers: [soundNumber, pictureNumber] }) {
  let pictures = 0;
  const isRtp = (packet) => !(packet[1] >= 192 && packet[1] <= 223);
  const first = await bound((packet) => isRtp(packet) && onSound(packet));
  const second = await bound((packet) => {
    if (!isRtp(packet)) return;
    pictures += packet[1] >> 7; // the marker ends a picture
    onPicture(packet);
  });
  const to = (socket) => `rtp://127.0.0.1:${socket.address().port}?pkt_size=1200`;
  const [coder, ...options] = CODERS[codec];
  const ffmpeg = spawn("ffmpeg", [
    "-hide_banner", "-loglevel", "error", "-re", "-i", film,
    "-map", "0:a", "-c:a", "libopus", "-ac", "2", "-application", "lowdelay", "-payload_type", soundNumber, "-f", "rtp", to(first),
    "-map", "0:v", "-c:v", coder, ...options, "-b:v", "600k", "-g", "25", "-bf", "0", "-strict", "experimental", "-payload_type", pictureNumber, "-f", "rtp", to(second),
  ], { stdio: ["ignore", "ignore", "inherit"] });
  await new Promise((resolve) => ffmpeg.on("close", resolve));
  await new Promise((resolve) => setTimeout(resolve, 300));
  first.close();
  second.close();
  return pictures;
}
