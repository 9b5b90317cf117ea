/** A WHIP client (RFC 9725): one send-only session with one endpoint. */

import { iceFragment, withRestartedIce } from "./fragment.js";
import { iceServersOf } from "./iceServers.js";

const TRICKLE_MS = 50; // candidates come in bursts; one PATCH carries a burst
const CONNECT_MS_MAX = 15_000;
const RESTART_MS_MAX = 5_000; // then it is asked for again
const DELETE_MS_MAX = 3_000;

/** The server said no. `final`: it refused the offer itself, and would again; a session that is gone can be replaced. */
export class WhipRefusal extends Error {
  constructor(method, status, retryAfterS) {
    super(`The recorder answered ${status} to ${method}.`);
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.final = method === "POST" && status >= 400 && status < 500 && status !== 408 && status !== 429;
  }
}

/** An offer with "nack" for Opus and what repeats it: browsers can do it, and do not offer it. */
const askingForLostSound = ({ type, sdp }) => {
  const sound = [...sdp.matchAll(/^a=rtpmap:(\d+) (?:opus|red)\/48000\/2\r$/gm)];
  const asked = sound.reduce((text, [line, number]) => text.replace(line, `${line}\na=rtcp-fb:${number} nack\r`), sdp);
  return { type, sdp: asked };
};

export class WhipSession {
  #endpoint;
  #token;
  #connection;
  #senders = {};
  #resource = null;
  #etag = null;
  #candidates = [];
  #gathered = false;
  #trickleTimer = 0;
  #onstate;

  /** `onstate()` is called whenever `state` may have changed. */
  constructor({ endpoint, token, configuration, onstate }) {
    this.#endpoint = endpoint;
    this.#token = token;
    this.#onstate = onstate;
    this.#connection = new RTCPeerConnection({ ...configuration, bundlePolicy: "max-bundle" });
    this.#connection.onconnectionstatechange = onstate;
    this.#connection.onicecandidate = ({ candidate }) => this.#gather(candidate);
  }

  /**
   * Offer `tracks` ({ audio, video }: a track, or null for a section that may get one later, or no key) and
   * resolve once media can flow. Rejects with WhipRefusal, TypeError (network) or a time-out.
   */
  async open(tracks, stream, maxBitrate) {
    for (const [kind, track] of Object.entries(tracks)) {
      const sendEncodings = kind === "video" ? [{ maxBitrate }] : [{}];
      const options = { direction: "sendonly", streams: [stream], sendEncodings };
      this.#senders[kind] = this.#connection.addTransceiver(track ?? kind, options).sender;
    }
    await this.#connection.setLocalDescription(askingForLostSound(await this.#connection.createOffer()));
    const response = await this.#request("POST", this.#endpoint, "application/sdp", this.#connection.localDescription.sdp);
    const { pathname, search } = new URL(response.headers.get("Location"), response.url);
    this.#resource = pathname + search; // on our own origin, as the endpoint was
    this.#etag = response.headers.get("ETag");
    await this.#connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.#trickleSoon();
    await this.#connected(CONNECT_MS_MAX);
    for (const { transport } of Object.values(this.#senders)) transport.onstatechange = this.#onstate;
  }

  /** The connection's state, or "closed" once the other side has ended DTLS: that alone it says at once. */
  get state() {
    const ended = Object.values(this.#senders).some(({ transport }) => transport?.state === "closed");
    return ended ? "closed" : this.#connection.connectionState;
  }

  /** Send another track (or none) where `kind` was sent, without negotiating. */
  async replaceTrack(kind, track) {
    if (this.#connection.signalingState !== "closed") await this.#senders[kind]?.replaceTrack(track);
  }

  /** Look for new paths within the same session, with credentials of now; rejects when there are none. */
  async restart() {
    await this.#renew();
    this.#candidates = [];
    this.#gathered = false;
    this.#etag = null; // candidates wait for the new tag
    const offer = await this.#connection.createOffer({ iceRestart: true });
    await this.#connection.setLocalDescription(askingForLostSound(offer));
    const body = iceFragment(this.#connection.localDescription.sdp, [], { complete: false });
    const response = await this.#patch(body, "*");
    const answer = withRestartedIce(this.#connection.currentRemoteDescription.sdp, await response.text());
    this.#etag = response.headers.get("ETag");
    await this.#connection.setRemoteDescription({ type: "answer", sdp: answer });
    this.#trickleSoon();
    await this.#connected(RESTART_MS_MAX);
  }

  /**
   * End the session, once; also while the page is being left. Nothing is sent from now on, but the connection is
   * only closed after the DELETE: closing first would end the session before we ask for its end. `gone`: the server
   * has ended it, and would know nothing of what we ask for.
   */
  async close({ gone = false } = {}) {
    clearTimeout(this.#trickleTimer);
    const connection = this.#connection;
    connection.onconnectionstatechange = connection.onicecandidate = null;
    const resource = this.#resource;
    this.#resource = null;
    if (resource && !gone) {
      if (connection.signalingState !== "closed") {
        for (const sender of Object.values(this.#senders)) sender.replaceTrack(null);
      }
      const headers = { Authorization: `Bearer ${this.#token}` };
      const signal = AbortSignal.timeout(DELETE_MS_MAX);
      // The recording may have ended and taken the session with it: nothing is left to say then.
      await fetch(resource, { method: "DELETE", headers, signal, keepalive: true }).catch(() => {});
    }
    connection.close();
    this.#onstate();
  }

  // --- trickle -----------------------------------------------------------------------------------
  #gather(candidate) {
    if (candidate === null) this.#gathered = true;
    else if (candidate.candidate) this.#candidates.push(candidate.candidate);
    if (this.#etag) this.#trickleSoon();
  }

  #trickleSoon() {
    this.#trickleTimer ||= setTimeout(() => this.#trickle(), TRICKLE_MS);
  }

  async #trickle() {
    this.#trickleTimer = 0;
    const candidates = this.#candidates.splice(0);
    if (!this.#etag || (candidates.length === 0 && !this.#gathered)) return;
    const body = iceFragment(this.#connection.localDescription.sdp, candidates, { complete: this.#gathered });
    // A refused candidate costs a path, not the session: whether one is left, ICE will say.
    await this.#patch(body, this.#etag).catch((error) => console.warn("Candidates were refused.", error));
  }

  /** TURN servers may not take the credentials of the beginning any more. */
  async #renew() {
    const headers = { Authorization: `Bearer ${this.#token}` };
    const response = await fetch(this.#resource, { method: "OPTIONS", headers });
    if (!response.ok) throw new WhipRefusal("OPTIONS", response.status, 0);
    const iceServers = iceServersOf(response.headers.get("Link"));
    if (iceServers.length > 0) this.#connection.setConfiguration({ ...this.#connection.getConfiguration(), iceServers });
  }

  // --- requests ----------------------------------------------------------------------------------
  #patch(body, ifMatch) {
    return this.#request("PATCH", this.#resource, "application/trickle-ice-sdpfrag", body, { "If-Match": ifMatch });
  }

  async #request(method, url, contentType, body, more = {}) {
    const headers = { Authorization: `Bearer ${this.#token}`, "Content-Type": contentType, ...more };
    const response = await fetch(url, { method, headers, body });
    if (!response.ok) throw new WhipRefusal(method, response.status, Number(response.headers.get("Retry-After")) || 0);
    return response;
  }

  #connected(timeoutMs) {
    const connection = this.#connection;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(reject, new Error("No path to the recorder was found.")), timeoutMs);
      const done = (settle, value) => {
        clearTimeout(timer);
        connection.removeEventListener("connectionstatechange", look);
        settle(value);
      };
      const look = () => {
        if (connection.connectionState === "connected") done(resolve);
        if (["failed", "closed"].includes(connection.connectionState)) done(reject, new Error("The path to the recorder failed."));
      };
      connection.addEventListener("connectionstatechange", look);
      look();
    });
  }
}
