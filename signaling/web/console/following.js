/** A recording that still grows, followed by Media Source Extensions: what is new is fetched and appended. */

const LOOK_EVERY_MS = 1000; // a fragment comes every two seconds
const HEAD_BYTES = 16384; // ftyp and moov, in which the codecs stand
const AHEAD_S_MAX = 120; // more than this is not fetched before it is wanted
const BEHIND_S = 4; // where one comes in: two fragments before the newest
const SOUND = "mp4a.40.2";

export function canFollow() {
  return "MediaSource" in window;
}

/** Follow `path` into `video` until the recording is complete or `signal` aborts. */
export async function follow(video, path, signal) {
  const source = new MediaSource();
  const address = URL.createObjectURL(source);
  signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  video.src = address;
  await once(source, "sourceopen", signal);
  let buffer = null;
  let have = 0;
  while (!signal.aborted) {
    const { bytes, complete } = ahead(video) > AHEAD_S_MAX ? { bytes: null, complete: false } : await more(path, have, signal);
    if (bytes?.length) {
      buffer ??= source.addSourceBuffer(`video/mp4; codecs="${codecs(bytes)}"`);
      await append(buffer, bytes, signal);
      if (have === 0) video.currentTime = Math.max(0, ahead(video) - BEHIND_S);
      have += bytes.length;
    }
    if (complete) {
      source.endOfStream();
      return;
    }
    await pause(LOOK_EVERY_MS, signal);
  }
}

function ahead(video) {
  const { buffered } = video;
  return buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : 0;
}

/** What there is behind `have` bytes; before the first media it is 409. */
async function more(path, have, signal) {
  const head = await fetch(path, { method: "HEAD", signal });
  const complete = head.ok && !head.headers.get("Cache-Control")?.includes("no-store");
  if (head.status === 409 || Number(head.headers.get("Content-Length")) <= have) return { bytes: null, complete };
  const response = await fetch(path, { headers: { Range: `bytes=${have}-` }, signal });
  if (!response.ok) throw new Error(`${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const growing = response.headers.get("Cache-Control")?.includes("no-store") ?? false;
  return { bytes, complete: !growing };
}

/** As the init segment says: `avcC` names the profile, compatibility and level of the pictures. */
export function codecs(bytes) {
  const head = bytes.subarray(0, HEAD_BYTES);
  const place = find(head, [0x61, 0x76, 0x63, 0x43]);
  if (place < 0) return SOUND;
  const hex = [...head.subarray(place + 5, place + 8)].map((one) => one.toString(16).padStart(2, "0")).join("");
  return `avc1.${hex}, ${SOUND}`;
}

function find(bytes, wanted) {
  return bytes.findIndex((_, place) => wanted.every((one, offset) => bytes[place + offset] === one));
}

async function append(buffer, bytes, signal) {
  buffer.appendBuffer(bytes);
  await once(buffer, "updateend", signal);
}

function once(target, name, signal) {
  return new Promise((resolve) => target.addEventListener(name, resolve, { once: true, signal }));
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
