/**
 * The connections to everybody else, each known by who it leads to and which loading of their page.
 *
 * Whoever was in the room when the other came in decides which connection is used: it chooses `session`. The one
 * who came in keeps what it has until it is offered another. So a call outlives a restart of the server, and a
 * connection that only one side still has is replaced.
 */

import { Peer } from "./peer.js";
import { randomName } from "./socket.js";

/** What RTCPeerConnection wants, from what the server says. */
export function configurationOf({ ice_servers, ice_transport_policy }) {
  const iceServers = ice_servers.map(({ urls, username, credential }) =>
    username ? { urls, username, credential } : { urls },
  );
  return { iceServers, iceTransportPolicy: ice_transport_policy === "RELAYED" ? "relay" : "all" };
}

/** Event `change`: what is received, or how well. */
export class Mesh extends EventTarget {
  #known = new Map(); // id -> { peer, instance, session, decides, missing: timer }
  #media;
  #send;
  #welcome = null;

  /** `send(message)` speaks to the room. */
  constructor(media, send) {
    super();
    this.#media = media;
    this.#send = send;
  }

  /** The connection to this participant, or undefined. */
  to(id) {
    return this.#known.get(id)?.peer;
  }

  /** [id, Peer] of everybody. */
  all() {
    return [...this.#known].map(([id, { peer }]) => [id, peer]);
  }

  /** We came in, or came back: keep who is still there, and give those who are missing time to come back. */
  entered(welcome) {
    const again = this.#welcome !== null && !welcome.resumed;
    const present = new Map(welcome.roster.map((member) => [member.id, member]));
    this.#welcome = welcome;
    for (const [id, known] of this.#known) {
      if (again) known.decides = false;
      if (present.get(id)?.instance === known.instance) again ? stays(known) : this.#found(known);
      else if (present.has(id) || !again) this.left(id);
      else known.missing ||= setTimeout(() => this.left(id), welcome.resume_timeout_s * 1000);
    }
    for (const member of present.values()) if (!this.#known.has(member.id)) this.#meet(member, null);
  }

  joined(member) {
    const known = this.#known.get(member.id);
    if (known?.instance === member.instance) {
      known.decides = true;
      this.#found(known);
    } else this.#meet(member, randomName());
  }

  returned(member) {
    const known = this.#known.get(member.id);
    if (known) this.#found(known);
  }

  left(id) {
    const known = this.#known.get(id);
    if (!known) return;
    clearTimeout(known.missing);
    known.peer.close();
    this.#known.delete(id);
    this.#changed();
  }

  signaled({ sender, session, description, candidate }) {
    let known = this.#known.get(sender);
    if (!known) return;
    if (description?.type === "offer" && known.session !== session && !known.decides) {
      if (known.session !== null) known = this.#meet({ id: sender, instance: known.instance }, null);
      known.session = session;
    }
    if (known.session === session) known.peer.receive({ description, candidate });
  }

  close() {
    for (const id of [...this.#known.keys()]) this.left(id);
  }

  /** Make a connection: with a `session` we offer, with null we wait for the other side's offer. */
  #meet({ id, instance }, session) {
    this.left(id);
    const known = { instance, session, decides: session !== null, missing: 0 };
    known.peer = new Peer({
      initiator: known.decides,
      polite: this.#welcome.you.id < id,
      configuration: configurationOf(this.#welcome),
      media: this.#media,
      signal: (message) => this.#send({ type: "signal", to: id, instance, session: known.session, ...message }),
    });
    this.#known.set(id, known);
    known.peer.addEventListener("streams", () => this.#changed());
    known.peer.addEventListener("state", () => this.#changed());
    known.peer.addEventListener("broken", () => {
      if (known.decides && this.#known.get(id) === known) this.#meet({ id, instance }, randomName());
    });
    return known;
  }

  /** Somebody we know is there: whatever either side said meanwhile may be lost. */
  #found(known) {
    stays(known);
    known.peer.resume();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function stays(known) {
  clearTimeout(known.missing);
  known.missing = 0;
}
