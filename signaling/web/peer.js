/**
 * One connection to one other browser: W3C "perfect negotiation".
 *
 * Whoever is in the room already makes the first offer, with one audio and one video section that both sides use
 * in both directions; the newcomer adopts them. Everything later (screen shares, ICE restarts) may be
 * offered by either side at any time, and the polite one yields when offers cross.
 */

const DISCONNECTED_MS_MAX = 4_000; // then new paths are looked for; most hiccups are over before

/** Events: `streams` (what is received changed), `state` (`state` changed), `broken` (a description did not fit). */
export class Peer extends EventTarget {
  /** stream id -> MediaStream, as the other side grouped its tracks. */
  streams = new Map();
  #connection;
  #media;
  #signal;
  #polite;
  #camera = null; // { audio, video } transceivers, once there
  #screen = []; // transceivers of our share
  #makingOffer = false;
  #ignoringOffer = false;
  #settingAnswer = false;
  #incoming = Promise.resolve();
  #disconnectedTimer = 0;
  #heard = { energy: 0, duration: 0 }; // as of the last time `loudness` was asked

  /** `signal({description} | {candidate})` brings a message to the other side. */
  constructor({ initiator, polite, configuration, media, signal }) {
    super();
    this.#media = media;
    this.#signal = signal;
    this.#polite = polite;
    const connection = new RTCPeerConnection(configuration);
    this.#connection = connection;
    connection.onnegotiationneeded = () => this.#offer();
    connection.onicecandidate = ({ candidate }) => candidate && signal({ candidate: candidate.toJSON() });
    connection.onconnectionstatechange = () => this.#stateChanged();
    connection.ontrack = (event) => this.#received(event);
    if (initiator) this.#start();
  }

  get state() {
    return this.#connection.connectionState;
  }

  /** How loud they have been since this was last asked: the root mean square, 0 to 1. */
  async loudness() {
    const report = await this.#camera?.audio.receiver.getStats();
    const heard = [...(report?.values() ?? [])].find(({ type }) => type === "inbound-rtp");
    if (!heard) return 0;
    const energy = heard.totalAudioEnergy - this.#heard.energy;
    const duration = heard.totalSamplesDuration - this.#heard.duration;
    this.#heard = { energy: heard.totalAudioEnergy, duration: heard.totalSamplesDuration };
    return duration > 0 ? Math.sqrt(energy / duration) : 0;
  }

  /** Messages are taken one after the other: a candidate never overtakes its description. */
  receive(message) {
    const take = () => (message.description ? this.#describe(message.description) : this.#candidate(message.candidate));
    this.#incoming = this.#incoming.then(take).catch((error) => {
      console.warn("A peer's signal was not usable.", error);
      if (message.description) this.dispatchEvent(new Event("broken"));
    });
  }

  /** Signals were lost while a socket was down: say again what still waits for an answer. */
  resume() {
    const connection = this.#connection;
    if (connection.signalingState === "have-local-offer") this.#signal({ description: connection.localDescription });
    else if (connection.connectionState !== "connected" && this.#camera) connection.restartIce();
  }

  /** Send the tracks that the local media has now. */
  async updateCamera() {
    if (!this.#camera) return;
    const { audio, video } = this.#camera;
    await Promise.all([audio.sender.replaceTrack(this.#media.audio), video.sender.replaceTrack(this.#media.video)]);
  }

  /** Start or stop sending the shared screen, whichever is the case now. */
  updateScreen() {
    if (!this.#camera) return; // with the first negotiation
    this.#screen.forEach((transceiver) => transceiver.stop());
    const screen = this.#media.screenToSend;
    this.#screen = (screen?.getTracks() ?? []).map((track) =>
      this.#connection.addTransceiver(track, { direction: "sendonly", streams: [screen] }),
    );
  }

  close() {
    clearTimeout(this.#disconnectedTimer);
    this.#connection.close();
  }

  // --- negotiating -------------------------------------------------------------------------------
  #start() {
    const section = (kind) =>
      this.#connection.addTransceiver(this.#media[kind] ?? kind, { direction: "sendrecv", streams: [this.#media.stream] });
    this.#camera = { audio: section("audio"), video: section("video") };
    this.updateScreen();
  }

  /** The first offer's sections become ours as well. */
  async #adopt() {
    const find = (kind) => this.#connection.getTransceivers().find((t) => t.receiver.track.kind === kind);
    this.#camera = { audio: find("audio"), video: find("video") };
    for (const transceiver of Object.values(this.#camera)) {
      transceiver.direction = "sendrecv";
      transceiver.sender.setStreams(this.#media.stream);
    }
    await this.updateCamera();
  }

  async #offer() {
    try {
      this.#makingOffer = true;
      await this.#connection.setLocalDescription();
      this.#signal({ description: this.#connection.localDescription });
    } catch (error) {
      if (this.#connection.signalingState !== "closed") throw error; // else they left meanwhile
    } finally {
      this.#makingOffer = false;
    }
  }

  async #describe(description) {
    const connection = this.#connection;
    const ready = !this.#makingOffer && (connection.signalingState === "stable" || this.#settingAnswer);
    this.#ignoringOffer = description.type === "offer" && !ready && !this.#polite;
    if (this.#ignoringOffer) return;
    if (description.type === "answer" && connection.signalingState !== "have-local-offer") return; // said twice
    this.#settingAnswer = description.type === "answer";
    await connection.setRemoteDescription(description).finally(() => (this.#settingAnswer = false));
    if (description.type !== "offer") return;
    const first = !this.#camera;
    if (first) await this.#adopt();
    await connection.setLocalDescription();
    this.#signal({ description: connection.localDescription });
    if (first) this.updateScreen();
  }

  async #candidate(candidate) {
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoringOffer) throw error;
    }
  }

  // --- receiving ---------------------------------------------------------------------------------
  #received({ track, streams: [stream] }) {
    if (!stream) return;
    this.streams.set(stream.id, stream);
    const changed = () => this.dispatchEvent(new Event("streams"));
    track.onunmute = changed;
    stream.onremovetrack = () => {
      if (stream.getTracks().length === 0) this.streams.delete(stream.id);
      changed();
    };
    changed();
  }

  #stateChanged() {
    clearTimeout(this.#disconnectedTimer);
    if (this.state === "failed") this.#connection.restartIce();
    if (this.state === "disconnected") {
      this.#disconnectedTimer = setTimeout(() => this.#connection.restartIce(), DISCONNECTED_MS_MAX);
    }
    this.dispatchEvent(new Event("state"));
  }
}
