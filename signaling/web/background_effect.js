/** A background behind somebody: their camera's track goes in, a track with another background comes out. */

import { base } from "./base.js";

const FPS = 25;
const FPS_MIN = 8; // below it a picture is worse than the plain camera's
const UNJUDGED_FRAMES = 5; // the first ones are slow everywhere
const JUDGED_MS = 3_000; // of work, at the end of which it is judged
const LOADING_MS_MAX = 20_000;
const BLURRED_WIDTH = 40; // drawn that small and large again

/**
 * Use `start`. Event `slow`: this machine cannot do it; the track goes on without a new picture, so use another.
 * `background` is null for a blur, or an ImageBitmap.
 */
export class BackgroundEffect extends EventTarget {
  track;
  #source;
  #worker;
  #video = document.createElement("video");
  #out = document.createElement("canvas");
  #small = document.createElement("canvas");
  #mask = document.createElement("canvas");
  #blurred = document.createElement("canvas");
  #background;
  #begunMs = 0;
  #frames = 0;
  #busyMs = 0;

  static async start(source, background) {
    const effect = new BackgroundEffect(source, background);
    try {
      await effect.#open();
    } catch (error) {
      effect.close();
      throw error;
    }
    return effect;
  }

  constructor(source, background) {
    super();
    this.#source = source;
    this.#background = background;
  }

  /** Another background from the next picture on. */
  show(background) {
    this.#background = background;
  }

  close() {
    this.#worker?.terminate();
    this.#worker = null;
    this.track?.stop();
    this.#video.srcObject = null;
  }

  async #open() {
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([this.#source]);
    const [size] = await Promise.all([this.#load(), this.#video.play()]);
    for (const canvas of [this.#small, this.#mask]) Object.assign(canvas, { width: size.width, height: size.height });
    const { videoWidth: width, videoHeight: height } = this.#video;
    Object.assign(this.#out, { width, height });
    Object.assign(this.#blurred, { width: BLURRED_WIDTH, height: Math.round((BLURRED_WIDTH * height) / width) });
    const first = new Promise((resolve) => this.addEventListener("frame", resolve, { once: true }));
    this.#frame();
    await first; // nothing of the room behind is ever shown
    this.track = this.#out.captureStream(FPS).getVideoTracks()[0];
  }

  #load() {
    const worker = new Worker(`${base}/web/background_worker.js`);
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("loading took too long")), LOADING_MS_MAX);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.onmessage = ({ data }) => {
        if (data.type === "failed") reject(new Error(data.reason));
        if (data.type !== "loaded") return;
        clearTimeout(timer);
        worker.onmessage = (event) => this.#heard(event.data);
        resolve(data);
      };
      worker.postMessage({ type: "load" });
    });
  }

  #heard({ type, pixels }) {
    if (type === "tick") this.#frame();
    if (type === "mask") this.#compose(pixels);
    if (type === "failed") this.dispatchEvent(new Event("slow"));
  }

  #frame() {
    this.#begunMs = performance.now();
    const { width, height } = this.#small;
    const context = this.#small.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.#video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    this.#worker.postMessage({ type: "frame", pixels: data }, [data.buffer]);
  }

  /** Whoever the mask shows, before the background. */
  #compose(pixels) {
    if (!this.#worker) return;
    const { width, height } = this.#out;
    this.#mask.getContext("2d").putImageData(new ImageData(pixels, this.#mask.width, this.#mask.height), 0, 0);
    const context = this.#out.getContext("2d", { alpha: false });
    const person = this.#person();
    context.globalCompositeOperation = "copy";
    if (this.#background) drawCover(context, this.#background, width, height);
    else context.drawImage(this.#blur(), 0, 0, width, height);
    context.globalCompositeOperation = "source-over";
    context.drawImage(person, 0, 0);
    this.dispatchEvent(new Event("frame"));
    this.#judge();
  }

  #layer = document.createElement("canvas");

  #person() {
    const { width, height } = this.#out;
    if (this.#layer.width !== width) Object.assign(this.#layer, { width, height });
    const context = this.#layer.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.drawImage(this.#mask, 0, 0, width, height);
    context.globalCompositeOperation = "source-in";
    context.drawImage(this.#video, 0, 0, width, height);
    return this.#layer;
  }

  #blur() {
    const { width, height } = this.#blurred;
    const context = this.#blurred.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#video, 0, 0, width, height);
    return this.#blurred;
  }

  /** Wait for the next picture; give up where there would be too few of them. */
  #judge() {
    const busyMs = performance.now() - this.#begunMs;
    this.#frames += 1;
    if (this.#frames > UNJUDGED_FRAMES) this.#busyMs += busyMs;
    if (this.#busyMs > JUDGED_MS) {
      const slow = this.#busyMs / (this.#frames - UNJUDGED_FRAMES) > 1000 / FPS_MIN;
      this.#frames = UNJUDGED_FRAMES;
      this.#busyMs = 0;
      if (slow) {
        this.dispatchEvent(new Event("slow"));
        return;
      }
    }
    this.#worker.postMessage({ type: "wait", ms: Math.max(0, 1000 / FPS - busyMs) });
  }
}

/** All of the canvas, the picture cut where it has another shape. */
export function drawCover(context, picture, width, height) {
  const scale = Math.max(width / picture.width, height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
}
