/** Files in the room's chat: chosen, dropped or pasted, on their way, and as lines that can be saved. */

import { sizeOf } from "./player.js";
import { byId, toast } from "./ui.js";
import { Upload } from "./upload.js";

const OFF = {
  storage_test_failed: "Files cannot be sent now: the storage of this server does not work.",
  conversation_ended: "The conversation has ended.",
};
const FAILURES = {
  refused_by_scanner: "It was refused by the virus scanner.",
  scanner_silent: "The virus scanner did not answer.",
};
const STATES = {
  reconnecting: "Connection lost, going on as soon as possible",
  waiting: "Waiting: the storage of this server does not work now",
  checking: "Being checked",
  cancelled: "Cancelled",
};
const SHOWN_AFTER_MS = 4_000;

export class Files {
  #api;
  #uploads = new Map(); // Upload -> its item
  #service = { enabled: false, reason: "file_transfer_disabled" };
  #bytesMax = 0;

  constructor(api) {
    this.#api = api;
    byId("attach").onclick = () => byId("attach-input").click();
    byId("attach-input").onchange = ({ target }) => {
      this.send([...target.files]);
      target.value = ""; // the same file may be chosen again
    };
    byId("say-text").addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    this.#acceptDrops();
  }

  /** As the server says; what waits for it goes on. */
  allow({ file_transfer: service, file_bytes_max: bytesMax }) {
    this.#service = service;
    this.#bytesMax = bytesMax;
    const never = service.reason === "file_transfer_disabled";
    byId("attach").hidden = never;
    byId("attach").disabled = !service.enabled;
    byId("attach").title = service.enabled ? `Send a file (up to ${sizeOf(bytesMax)})` : (OFF[service.reason] ?? "");
    byId("files-off").textContent = never ? "" : (OFF[service.reason] ?? "");
    document.body.dataset.files = service.enabled;
    if (service.enabled) this.#uploads.forEach((_, upload) => upload.wake());
  }

  send(files) {
    for (const file of files) {
      if (file.size > this.#bytesMax) {
        toast(`${file.name} is too large: a file may have up to ${sizeOf(this.#bytesMax)}.`, { kind: "warning" });
      } else this.#begin(file);
    }
  }

  /** What became of a file of ours. */
  changed({ id, state, failure }) {
    const upload = [...this.#uploads.keys()].find((one) => one.id === id);
    if (state === "AVAILABLE") upload?.finish();
    if (state === "REFUSED") upload?.refuse(FAILURES[failure] ?? "It was refused.");
  }

  /** A line's link: the address is asked for when it is wanted, so it is never too old. */
  link(notice) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "file";
    button.dataset.file = notice.id;
    button.append(icon("i-file"), span("file-name", notice.filename), span("small", sizeOf(notice.bytes)));
    button.setAttribute("aria-label", `Save ${notice.filename}, ${sizeOf(notice.bytes)}`);
    button.onclick = () => this.#save(notice);
    return button;
  }

  async #save({ id, filename }) {
    try {
      const anchor = document.createElement("a");
      anchor.href = await this.#api.linkTo(id);
      anchor.download = filename;
      anchor.click();
    } catch (error) {
      toast(`${filename} cannot be fetched: ${error.message}`, { kind: "warning" });
    }
  }

  #begin(file) {
    const upload = new Upload(this.#api, file);
    const item = byId("upload").content.firstElementChild.cloneNode(true);
    item.querySelector(".upload-name").textContent = upload.name;
    item.querySelector("progress").setAttribute("aria-label", `Sending ${upload.name}`);
    item.querySelector("button").setAttribute("aria-label", `Cancel ${upload.name}`);
    item.querySelector("button").onclick = () => (upload.isOver ? this.#forget(upload) : upload.cancel());
    this.#uploads.set(upload, item);
    byId("uploads").append(item);
    upload.addEventListener("change", () => this.#show(upload));
    this.#show(upload);
    upload.run();
  }

  #show(upload) {
    const item = this.#uploads.get(upload);
    if (!item) return;
    item.dataset.state = upload.state;
    const progress = item.querySelector("progress");
    progress.max = Math.max(1, upload.size);
    progress.value = upload.size === 0 ? 1 : upload.sent;
    const percent = Math.floor((100 * upload.sent) / Math.max(1, upload.size));
    const words = upload.state === "sending" ? `${percent} % of ${sizeOf(upload.size)}` : (STATES[upload.state] ?? upload.reason);
    const told = item.querySelector(".upload-state");
    if (told.textContent !== words) told.textContent = words;
    item.querySelector("button").hidden = upload.state === "checking";
    if (upload.state === "done") this.#forget(upload);
    if (upload.state === "cancelled") setTimeout(() => this.#forget(upload), SHOWN_AFTER_MS);
  }

  #forget(upload) {
    this.#uploads.get(upload)?.remove();
    this.#uploads.delete(upload);
  }

  // --- dropping and pasting ------------------------------------------------------------------------
  #acceptDrops() {
    let inside = 0;
    const show = () => (byId("drop").hidden = inside === 0 || !this.#service.enabled);
    addEventListener("dragenter", ({ dataTransfer }) => {
      if (dataTransfer?.types.includes("Files")) inside += 1;
      show();
    });
    addEventListener("dragleave", ({ dataTransfer }) => {
      if (dataTransfer?.types.includes("Files")) inside = Math.max(0, inside - 1);
      show();
    });
    addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    addEventListener("drop", (event) => {
      inside = 0;
      show();
      this.#take(event, event.dataTransfer);
    });
  }

  #take(event, data) {
    const files = [...(data?.files ?? [])];
    if (files.length === 0) return; // a text: the field takes it
    event.preventDefault();
    if (this.#service.enabled) {
      this.send(files);
      document.dispatchEvent(new Event("show-panel"));
    } else toast(OFF[this.#service.reason] ?? "Files cannot be sent in this conversation.", { kind: "warning" });
  }
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

function span(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}
