/** What this browser sends: its microphone, its camera, and the screen it shares. */

import { BackgroundEffect } from "./background_effect.js";

// A composite of two shows each at 640 pixels; more would cost an encoder per peer and show nowhere.
const CAMERA = { width: { ideal: 960 }, height: { ideal: 540 }, frameRate: { ideal: 25, max: 30 } };
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const SCREEN = { video: { frameRate: { ideal: 15, max: 30 } }, audio: true };

const WHAT = { audio: "microphone", video: "camera" };

/** Why a device cannot be used, in a sentence that says what to do. */
export function explain(error, kind) {
  const device = WHAT[kind];
  switch (error?.name) {
    case "NotAllowedError":
      return `This page may not use your ${device}. Allow it in the browser's address bar and try again.`;
    case "NotFoundError":
      return `No ${device} was found. You can take part without it.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${device} could not be started. Another program may be using it.`;
    case "OverconstrainedError":
      return `Your ${device} does not offer what this call needs.`;
    case "InsecureContext":
      return `Browsers give a page your ${device} only over https.`;
    default:
      return `Your ${device} could not be started (${error?.name ?? "unknown reason"}).`;
  }
}

/**
 * Events: `change` (a track came or went, was muted or unmuted), `screen` (the share started or stopped),
 * `problem` (detail: a sentence), `slow` (this machine cannot do the background: the plain camera is sent).
 */
export class LocalMedia extends EventTarget {
  /** The stream that camera and microphone belong to; its id stays the same for the whole call. */
  stream = new MediaStream();
  /** What is shared, or null. */
  screen = null;
  #letScreen = null; // the share that may be sent
  #wanted = { audio: true, video: true };
  #camera = null; // the camera's own track; what is sent of it may have another background
  #background = null; // { picture }, null in it for a blur; or null
  #effect = null;

  get audio() {
    return this.stream.getAudioTracks()[0] ?? null;
  }

  get video() {
    return this.stream.getVideoTracks()[0] ?? null;
  }

  get microphoneOn() {
    return Boolean(this.audio?.enabled);
  }

  get cameraOn() {
    return this.video !== null;
  }

  /** Ask for both at once, so that the browser asks its user once; then for what can be had alone. */
  async open() {
    const both = await this.#ask({ audio: MICROPHONE, video: CAMERA });
    if (both.stream) await Promise.all(both.stream.getTracks().map((track) => this.#take(track)));
    else await Promise.all([this.#openOne("audio"), this.#openOne("video")]);
    this.#changed();
  }

  /** A muted microphone stays open and sends silence: unmuting is instant. */
  async setMicrophone(on) {
    this.#wanted.audio = on;
    if (on && !this.audio) await this.#openOne("audio");
    if (this.audio) this.audio.enabled = on;
    this.#changed();
  }

  /** A camera that is off is closed, so that its light goes out. */
  async setCamera(on) {
    this.#wanted.video = on;
    if (on && !this.#camera) await this.#openOne("video");
    if (!on) this.#closeCamera();
    this.#changed();
  }

  /** Put this behind whoever the camera shows, from now on; `picture` null is a blur, all of it null nothing. */
  async useBackground(background) {
    this.#background = background;
    if (this.#effect && background) this.#effect.show(background.picture);
    else if (this.#camera) await this.#show(this.#camera);
  }

  /** The shared screen, once it may be sent. */
  get screenToSend() {
    return this.screen === this.#letScreen ? this.screen : null;
  }

  /** What is shared now may be sent: whether that is new. */
  letScreen() {
    const before = this.screenToSend;
    this.#letScreen = this.screen;
    return before !== this.screenToSend;
  }

  async startShare() {
    if (this.screen) return;
    try {
      this.screen = await navigator.mediaDevices.getDisplayMedia(SCREEN);
    } catch (error) {
      // NotAllowedError is a cancelled dialogue: the person knows.
      if (error.name !== "NotAllowedError") this.#problem("Your screen could not be shared.");
      return;
    }
    const [picture] = this.screen.getVideoTracks();
    picture.contentHint = "detail"; // text must stay readable; frames may be dropped
    picture.onended = () => this.stopShare();
    this.dispatchEvent(new Event("screen"));
  }

  stopShare() {
    if (!this.screen) return;
    this.#letScreen = null;
    this.screen.getTracks().forEach((track) => track.stop());
    this.screen = null;
    this.dispatchEvent(new Event("screen"));
  }

  /** Let every device go. */
  close() {
    this.stopShare();
    this.#closeCamera();
    this.stream.getTracks().forEach((track) => this.#drop(track));
  }

  async #openOne(kind) {
    const answer = await this.#ask(kind === "audio" ? { audio: MICROPHONE } : { video: CAMERA });
    if (answer.stream) await this.#take(answer.stream.getTracks()[0]);
    else this.#problem(explain(answer.error, kind));
  }

  async #ask(constraints) {
    if (!navigator.mediaDevices) return { error: { name: "InsecureContext" } };
    try {
      return { stream: await navigator.mediaDevices.getUserMedia(constraints) };
    } catch (error) {
      return { error };
    }
  }

  async #take(track) {
    if (!this.#wanted[track.kind] && track.kind === "video") {
      track.stop(); // switched off while the browser was still asking
      return;
    }
    track.enabled = this.#wanted[track.kind];
    track.onended = () => {
      if (track.kind === "video") this.#closeCamera();
      else this.#drop(track);
      this.#problem(`Your ${WHAT[track.kind]} was disconnected.`);
      this.#changed();
    };
    if (track.kind === "video") {
      this.#closeCamera();
      this.#camera = track;
      await this.#show(track).catch(() => this.#plain(track));
      return;
    }
    this.stream.getAudioTracks().forEach((other) => this.#drop(other));
    this.stream.addTrack(track);
  }

  /** Send the camera as it is to be seen; nothing of it is sent before that is ready. */
  async #show(camera) {
    if (this.#background === null) {
      this.#plain(camera);
      return;
    }
    let effect;
    try {
      effect = await BackgroundEffect.start(camera, this.#background.picture);
    } catch (error) {
      this.#plain(camera);
      throw error;
    }
    if (this.#camera !== camera || this.#background === null) {
      effect.close(); // switched off meanwhile
      return;
    }
    this.#sendInstead(effect.track);
    this.#effect = effect;
    effect.addEventListener("slow", () => {
      if (this.#effect !== effect) return;
      this.#plain(camera);
      this.dispatchEvent(new Event("slow"));
    });
  }

  #plain(camera) {
    this.#background = null;
    if (this.#camera === camera) this.#sendInstead(camera);
  }

  #sendInstead(track) {
    this.#effect?.close();
    this.#effect = null;
    this.stream.getVideoTracks().forEach((other) => this.stream.removeTrack(other));
    this.stream.addTrack(track);
    this.#changed();
  }

  #closeCamera() {
    this.#effect?.close();
    this.#effect = null;
    this.stream.getVideoTracks().forEach((track) => this.#drop(track));
    if (this.#camera) {
      this.#camera.onended = null;
      this.#camera.stop();
      this.#camera = null;
    }
  }

  #drop(track) {
    track.onended = null;
    track.stop();
    this.stream.removeTrack(track);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #problem(text) {
    this.dispatchEvent(new CustomEvent("problem", { detail: text }));
  }
}
