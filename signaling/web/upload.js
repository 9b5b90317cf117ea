/** One file on its way to the server, by tus 1.0.0: it goes on where it broke off, whatever broke. */

import { Refused } from "./room_api.js";

const VERSION = { "Tus-Resumable": "1.0.0" };
const PIECE_BYTES = 8 * 1024 * 1024; // a proxy that collects requests shows progress, and loses no more than this
const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;
// What another attempt would meet again. Everything else is tried until it works, or is cancelled.
const FINAL = new Set([
  ...["file_transfer_disabled", "conversation_ended", "file_too_large", "body_too_large"],
  ...["disk_full", "not_found", "upload_gone", "unauthorized", "forbidden"],
]);
const FINAL_STATUS = new Set([401, 403, 404, 410, 413]); // also where a proxy, or a HEAD, says no code
const WAITS_FOR_STORAGE = "storage_test_failed";

/** Why a file is not sent, in words. */
const REASONS = {
  file_transfer_disabled: "Files cannot be sent in this conversation.",
  conversation_ended: "The conversation has ended.",
  too_many_uploads: "Too many files are on their way. Try again in a moment.",
  disk_full: "The server has no room for this file now.",
};

/**
 * Events: `change` (`state` or `sent` changed).
 * States: "sending", "reconnecting", "waiting" (the storage test failed), "checking", "done", "refused", "cancelled".
 */
export class Upload extends EventTarget {
  state = "sending";
  sent = 0;
  reason = "";
  id = null;
  #api;
  #file;
  #request = null;
  #wake = () => {};

  constructor(api, file) {
    super();
    this.#api = api;
    this.#file = file;
  }

  get name() {
    return this.#file.name;
  }

  get size() {
    return this.#file.size;
  }

  get isOver() {
    return ["done", "refused", "cancelled"].includes(this.state);
  }

  /** Send it; returns once it is received, refused or cancelled. */
  async run() {
    for (let retryMs = RETRY_MS_FIRST; !this.isOver; retryMs = Math.min(2 * retryMs, RETRY_MS_MAX)) {
      const before = this.sent;
      try {
        await this.#attempt();
        if (!this.isOver) this.#change("checking");
        return;
      } catch (error) {
        if (this.isOver) return;
        if (error instanceof Refused && (FINAL.has(error.code) || FINAL_STATUS.has(error.status))) return this.refuse(REASONS[error.code] ?? error.message);
        this.#change(error.code === WAITS_FOR_STORAGE ? "waiting" : "reconnecting");
        if (this.sent > before) retryMs = RETRY_MS_FIRST;
        await this.#woken(Math.max(retryMs, (error.retryAfterS ?? 0) * 1000));
      }
    }
  }

  /** Try at once: the server is back, or the storage test passed. */
  wake() {
    this.#wake();
  }

  async cancel() {
    if (this.isOver || this.state === "checking") return;
    this.#change("cancelled");
    this.#request?.abort();
    this.#wake();
    if (this.id) await this.#giveUp();
  }

  /** Nobody will get it. */
  refuse(reason) {
    this.reason = reason;
    this.#change("refused");
  }

  finish() {
    this.#change("done");
  }

  async #attempt() {
    if (this.id === null) await this.#create();
    else this.#took(await this.#offset());
    while (this.sent < this.size && !this.isOver) this.#took(await this.#append());
  }

  async #create() {
    const metadata = [`filename ${base64(this.name)}`, ...(this.#file.type ? [`filetype ${base64(this.#file.type)}`] : [])];
    const headers = { ...VERSION, "Upload-Length": String(this.size), "Upload-Metadata": metadata.join(",") };
    const response = await this.#api.send("POST", "/uploads", { headers });
    this.id = response.headers.get("Location").split("/").pop();
    if (this.state === "cancelled") {
      await this.#giveUp(); // while it was being created
      throw new Error("cancelled");
    }
    this.#took(0);
  }

  #giveUp() {
    return this.#api.send("DELETE", `/uploads/${this.id}`, { headers: VERSION }).catch(() => {}); // it expires
  }

  async #offset() {
    const response = await this.#api.send("HEAD", `/uploads/${this.id}`, { headers: VERSION });
    return Number(response.headers.get("Upload-Offset"));
  }

  /** The next piece: the browser reads it from the disk as the network takes it. */
  #append() {
    const from = this.sent;
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch tells nothing of what was sent
      this.#request = request;
      request.open("PATCH", this.#api.url(`/uploads/${this.id}`));
      const headers = { ...this.#api.headers, ...VERSION, "Upload-Offset": String(from), "Content-Type": "application/offset+octet-stream" };
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => this.#took(from + loaded);
      request.onload = () => {
        if (request.status === 204) resolve(Number(request.getResponseHeader("Upload-Offset")));
        else reject(new Refused(request.status, parsed(request.responseText)));
      };
      request.onerror = request.onabort = () => reject(new Error("The connection was lost."));
      request.send(this.#file.slice(from, from + PIECE_BYTES));
    });
  }

  #took(sent) {
    this.sent = sent;
    this.#change(this.isOver ? this.state : "sending");
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  #woken(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function base64(text) {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // a proxy's error page
  }
}
