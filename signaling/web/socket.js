/** The room's WebSocket: says who we are, comes back after a drop, and notices a server that is gone. */

const PING_INTERVAL_MS = 10_000;
const PONG_TIMEOUT_MS = 8_000;
const RETRY_MS_FIRST = 400;
const RETRY_MS_MAX = 8_000;

/** Close codes after which coming back would be refused again, in words. */
const FINAL = new Map([
  [4400, "This page and the server do not understand each other. Reload the page."],
  [4401, "This link is not valid, or not valid any more."],
  [4403, "This link does not open this call."],
  [4404, "There is no such call."],
  [4409, "You have opened this call in another window."],
  [4410, "This conversation has ended."],
  [4451, "This call has to be recorded, and that is not possible now. Please try again later."],
  [4507, "The call is full."],
]);

/** Something that nobody else calls itself; crypto.randomUUID is for https only. */
export function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Events: `message` (detail: the parsed message), `state` (detail: "connecting" | "open" | "reconnecting"),
 * `end` (detail: why, in words; null when we closed it ourselves).
 */
export class RoomSocket extends EventTarget {
  #url;
  #token;
  #instance = randomName();
  #socket = null;
  #closed = false;
  #retryMs = RETRY_MS_FIRST;
  #retryTimer = 0;
  #pingTimer = 0;
  #pongTimer = 0;

  constructor(url, token) {
    super();
    this.#url = url;
    this.#token = token;
    addEventListener("online", () => this.#retryNow());
  }

  open() {
    this.#emit("state", "connecting");
    this.#connect();
  }

  /** Send now or not at all: after a drop the welcome brings the whole state, so nothing is kept. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Give up our seat. */
  close() {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    this.send({ type: "leave" });
    this.#socket?.close(1000);
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", token: this.#token, instance: this.#instance }));
      this.#expectPongs();
    };
    socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    socket.onclose = ({ code }) => this.#dropped(socket, code);
  }

  #received(message) {
    clearTimeout(this.#pongTimer);
    this.#pongTimer = 0;
    if (message.type === "pong") return;
    if (message.type === "welcome") {
      this.#retryMs = RETRY_MS_FIRST;
      this.#emit("state", "open");
    }
    this.#emit("message", message);
  }

  #dropped(socket, code) {
    if (socket !== this.#socket) return;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    if (this.#closed || FINAL.has(code)) {
      this.#closed = true;
      this.#emit("end", FINAL.get(code) ?? null);
      return;
    }
    this.#emit("state", "reconnecting");
    const jitter = 0.5 + Math.random() / 2; // a restarted server is not met by everybody at once
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs * jitter);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #retryNow() {
    if (this.#closed || this.#socket?.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.#retryTimer);
    this.#connect();
  }

  #expectPongs() {
    clearInterval(this.#pingTimer);
    this.#pingTimer = setInterval(() => {
      this.send({ type: "ping" });
      this.#pongTimer ||= setTimeout(() => this.#abandon(), PONG_TIMEOUT_MS);
    }, PING_INTERVAL_MS);
  }

  /** A dead network never tells; closing it would wait for an answer, so it is treated as dropped at once. */
  #abandon() {
    const dead = this.#socket;
    this.#pongTimer = 0;
    this.#dropped(dead, 1006);
    dead.onclose = dead.onmessage = null;
    dead.close();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
