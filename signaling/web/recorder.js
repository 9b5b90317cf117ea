/** What we send to the hidden participant of one recording: a session for the camera, one for a shared screen. */

import { base } from "./base.js";
import { WhipRefusal, WhipSession } from "./whip.js";

const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;
const DISCONNECTED_MS_MAX = 1_500; // the browser has waited some seconds itself; media goes on meanwhile if it can
const RESTART_MS_MAX = 20_000; // then the session is given up, and another begun
const BITRATE_MAX = { camera: 1_500_000, screen_share: 2_500_000 }; // bit/s; no tile of a composite shows more

/** Keeps one session alive for as long as the recording wants it. */
class Feed {
  state = "connecting";
  #session = null;
  #closed = false;
  #gone = false;
  #wake = () => {};
  #options;
  #tracks;
  #stream;
  #onstate;

  constructor({ invitation, configuration, source, tracks, stream, onstate }) {
    const endpoint = new URL(base + invitation.url, location.origin);
    endpoint.searchParams.set("source", source);
    this.#options = { endpoint: endpoint.href, token: invitation.token, configuration };
    this.#tracks = tracks;
    this.#stream = stream;
    this.#onstate = onstate;
    this.#run(BITRATE_MAX[source]);
  }

  replaceTrack(kind, track) {
    if (!(kind in this.#tracks)) return;
    this.#tracks[kind] = track;
    this.#session?.replaceTrack(kind, track);
  }

  /** `gone`: the session ended with its recording, so there is none to end. */
  close({ gone = false } = {}) {
    this.#closed = true;
    this.#gone = gone;
    this.#wake();
    this.#session?.close({ gone });
  }

  /** Open; when the path fails look for another; when there is none, open anew, later and later. */
  async #run(maxBitrate) {
    for (let retryMs = RETRY_MS_FIRST; !this.#closed; retryMs = Math.min(2 * retryMs, RETRY_MS_MAX)) {
      try {
        await this.#open(maxBitrate);
        retryMs = RETRY_MS_FIRST;
        await this.#hold();
      } catch (error) {
        const session = this.#session;
        this.#session = null; // nobody uses it again
        const gone = this.#gone || session.state === "closed";
        await session.close({ gone }); // also when we were closed while the offer was on its way
        if (this.#closed) return;
        // Its end mostly overtakes the room's word that there is nothing to publish any more.
        if (!(error instanceof SessionEndedError)) console.warn("The recorder was not reached.", error);
        this.#say(error.final ? "failed" : "connecting");
        if (error.final) return;
        await this.#woken(Math.max(retryMs, (error.retryAfterS ?? 0) * 1000));
      }
    }
  }

  async #open(maxBitrate) {
    this.#session = new WhipSession({ ...this.#options, onstate: () => this.#wake() });
    await this.#session.open(this.#tracks, this.#stream, maxBitrate);
    for (const [kind, track] of Object.entries(this.#tracks)) await this.#session.replaceTrack(kind, track);
    this.#say("connected");
  }

  /** Resolve when we are done; reject when the session cannot be kept. */
  async #hold() {
    while (!this.#closed) {
      if (this.#session.state === "closed") throw new SessionEndedError("The recorder ended the session.");
      if (await this.#isLost()) {
        this.#say("connecting");
        await this.#restart();
        if (!this.#closed) this.#say("connected");
      } else {
        await this.#woken();
      }
    }
  }

  /** Look for another path until there is one: a TURN server that went may be coming back. */
  async #restart() {
    const until = Date.now() + RESTART_MS_MAX;
    while (!this.#closed) {
      try {
        return await this.#session.restart();
      } catch (error) {
        const gone = error instanceof WhipRefusal && error.status !== 503;
        if (gone || this.#session.state === "closed" || Date.now() > until) throw error;
        await this.#woken(RETRY_MS_FIRST);
      }
    }
  }

  /** Whether the path is gone for good; most hiccups are over within DISCONNECTED_MS_MAX. */
  async #isLost() {
    if (this.#session.state === "disconnected") await this.#woken(DISCONNECTED_MS_MAX);
    return ["disconnected", "failed"].includes(this.#session.state);
  }

  /** Wait for something to change, or for a time. */
  async #woken(msMax = null) {
    let timer = 0;
    await new Promise((resolve) => {
      this.#wake = resolve;
      if (msMax !== null) timer = setTimeout(resolve, msMax);
    });
    clearTimeout(timer);
  }

  #say(state) {
    this.state = state;
    this.#onstate();
  }
}

/** Event `state`: `state` is "connecting", "connected" or "failed", the worst of its feeds. */
class SessionEndedError extends Error {}

export class RecorderLink extends EventTarget {
  #invitation;
  #configuration;
  #media;
  #camera;
  #screen = null;

  constructor(invitation, configuration, media) {
    super();
    this.#invitation = invitation;
    this.#configuration = configuration;
    this.#media = media;
    this.#camera = this.#feed("camera", { audio: media.audio, video: media.video }, media.stream);
    this.updateScreen();
  }

  get state() {
    const states = [this.#camera, this.#screen].filter(Boolean).map((feed) => feed.state);
    return ["failed", "connecting", "connected"].find((state) => states.includes(state));
  }

  updateCamera() {
    this.#camera.replaceTrack("audio", this.#media.audio);
    this.#camera.replaceTrack("video", this.#media.video);
  }

  updateScreen() {
    this.#screen?.close();
    this.#screen = null;
    const stream = this.#media.screenToSend;
    const tracks = Object.fromEntries((stream?.getTracks() ?? []).map((track) => [track.kind, track]));
    if (!this.#invitation.video) delete tracks.video;
    if (Object.keys(tracks).length > 0) this.#screen = this.#feed("screen_share", tracks, stream);
  }

  close({ gone = false } = {}) {
    this.#camera.close({ gone });
    this.#screen?.close({ gone });
  }

  #feed(source, tracks, stream) {
    if (!this.#invitation.video) delete tracks.video;
    const onstate = () => this.dispatchEvent(new Event("state"));
    const common = { invitation: this.#invitation, configuration: this.#configuration, onstate };
    return new Feed({ ...common, source, tracks, stream });
  }
}
