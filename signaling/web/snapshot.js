/** Snapshots: an agent asks, the visitor's own page makes the picture at full resolution, and says so. */

import { byId, toast } from "./ui.js";

const ANSWER_MS_MAX = 45_000; // the server waits a little longer
const PHOTO_MS_MAX = 5_000; // a camera that does not answer: its running picture is taken
const PICTURE_BYTES_MAX = 20 * 1024 * 1024;
const PICTURE_PIXELS_MAX = 36_000_000; // as the server takes them
const JPEG_QUALITY = 0.95;
const WHAT = { camera: "camera", screen_share: "shared screen" };
const FAILURES = {
  snapshot_refused: "They did not allow the picture.",
  no_picture: "There is no picture: their camera is off, or nothing is shared.",
  no_answer: "They did not answer.",
  refused_by_scanner: "The picture was refused by the virus scanner.",
  scanner_silent: "The virus scanner did not answer.",
};
const OFF = { storage_test_failed: "Pictures cannot be taken now: the storage of this server does not work." };

export class Snapshots {
  #api;
  #media;
  #service = { enabled: false, reason: "snapshots_disabled" };
  #mayFetch = () => false;

  /** `mayFetch` says whether our role sees the pictures. */
  constructor(api, media, mayFetch) {
    this.#api = api;
    this.#media = media;
    this.#mayFetch = mayFetch;
  }

  allow({ snapshots }) {
    this.#service = snapshots;
    document.body.dataset.snapshots = snapshots.reason === "snapshots_disabled" ? "never" : snapshots.enabled;
  }

  // --- an agent's ------------------------------------------------------------------------------------
  async take(participant, source) {
    if (!this.#service.enabled) {
      toast(OFF[this.#service.reason] ?? "Pictures cannot be taken here.", { kind: "warning" });
      return;
    }
    try {
      await this.#api.json("POST", "/snapshots", { participant, source });
      toast("Taking a picture…");
    } catch (error) {
      toast(error.message, { kind: "warning" });
    }
  }

  /** What became of one that we asked for. */
  changed({ id, state, failure, filename }) {
    if (state === "REFUSED") toast(FAILURES[failure] ?? "No picture was taken.", { kind: "warning" });
    if (state === "AVAILABLE") this.show({ id, filename });
  }

  /** A small picture for a line of the chat, which opens. */
  thumbnail(notice) {
    if (!this.#mayFetch()) return null;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumbnail";
    button.setAttribute("aria-label", `Show ${notice.filename}`);
    const image = document.createElement("img");
    image.alt = "";
    this.#api.linkTo(notice.id).then((link) => (image.src = link), () => button.remove());
    button.append(image);
    button.onclick = () => this.show(notice);
    return button;
  }

  async show({ id, filename }) {
    try {
      const link = await this.#api.linkTo(id);
      byId("picture-image").src = link;
      byId("picture-save").href = link;
      byId("picture-save").download = filename;
      byId("picture-title").textContent = filename;
      byId("picture-close").onclick = () => byId("picture").close();
      if (!byId("picture").open) byId("picture").showModal();
    } catch (error) {
      toast(error.message, { kind: "warning" });
    }
  }

  // --- whose picture it is ---------------------------------------------------------------------------
  async wanted({ file, source, by, ask }) {
    const who = by ?? "Somebody";
    try {
      if (ask && !(await allowed(who, source))) return await this.#refuse(file, "snapshot_refused");
      const picture = await this.#make(source);
      if (picture === null) return await this.#refuse(file, "no_picture");
      await this.#api.send("PUT", `/snapshots/${file}/picture`, { body: picture, headers: { "Content-Type": picture.type } });
      toast(`${who} took a picture of your ${WHAT[source]}.`);
    } catch (error) {
      console.warn("A picture could not be sent.", error);
      toast(`${who} wanted a picture of your ${WHAT[source]}; it could not be sent.`, { kind: "warning" });
    }
  }

  #refuse(file, reason) {
    return this.#api.json("POST", `/snapshots/${file}/refuse`, { reason });
  }

  async #make(source) {
    const track = source === "camera" ? this.#media.video : (this.#media.screen?.getVideoTracks()[0] ?? null);
    if (!track || track.readyState !== "live") return null;
    return source === "camera" ? encoded(await photo(track), "image/jpeg") : encoded(await frame(track), "image/png");
  }
}

/** What the camera's sensor gives; else what the track shows. */
async function photo(track) {
  if ("ImageCapture" in globalThis) {
    try {
      return await within(PHOTO_MS_MAX, largest(new ImageCapture(track)));
    } catch (error) {
      console.info("The camera takes no photo; its running picture will do.", error.name);
    }
  }
  return frame(track);
}

async function largest(capture) {
  const { imageWidth, imageHeight } = await capture.getPhotoCapabilities();
  const [width, height] = [imageWidth?.max ?? 0, imageHeight?.max ?? 0];
  const fits = width > 0 && height > 0 && width * height <= PICTURE_PIXELS_MAX;
  return createImageBitmap(await capture.takePhoto(fits ? { imageWidth: width, imageHeight: height } : {}));
}

async function frame(track) {
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = new MediaStream([track]);
  await video.play();
  const picture = await createImageBitmap(video);
  video.srcObject = null;
  return picture;
}

/** Drawn anew, so that nothing comes along but pixels. */
async function encoded(bitmap, type) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const blob = (as) => new Promise((resolve) => canvas.toBlob(resolve, as, JPEG_QUALITY));
  const first = await blob(type);
  return first.size <= PICTURE_BYTES_MAX ? first : blob("image/jpeg");
}

function within(ms, promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error("too slow")), ms))]);
}

function allowed(who, source) {
  const dialog = byId("snapshot-question");
  byId("snapshot-text").textContent = `${who} would like to take a picture of your ${WHAT[source]}. May they?`;
  return new Promise((resolve) => {
    const timer = setTimeout(() => dialog.close("no"), ANSWER_MS_MAX);
    byId("snapshot-yes").onclick = () => dialog.close("yes");
    byId("snapshot-no").onclick = () => dialog.close("no");
    dialog.onclose = () => {
      clearTimeout(timer);
      resolve(dialog.returnValue === "yes");
    };
    dialog.returnValue = "no"; // Escape is no
    if (dialog.open) dialog.close("no");
    dialog.showModal();
  });
}
