/** The side panel: messages and recordings. */

import { recordingItem } from "./announce.js";

const RECORDING = {
  RECORDING_STARTED: "The recording started",
  RECORDING_ENDED: "The recording ended",
  RECORDING_FAILED: "Not recorded",
  CONSENT_GIVEN: "agreed to being recorded",
  CONSENT_REFUSED: "does not agree to being recorded",
  FILE_EXPIRED: "A file was here, and was deleted because of its age",
  SNAPSHOT_TAKEN: "took a picture",
};

const byId = (id) => document.getElementById(id);

/** Event `say` (detail: the text). */
export class Chat extends EventTarget {
  #unread = 0;
  #you = "";
  #recordingOf;
  #fileLink;
  #thumbnail;

  /**
   * `recordingOf` gives the notice of a recording by its id, where one is known; `fileLink` and `thumbnail` make
   * what stands in the line of a file or a picture.
   */
  constructor(recordingOf, { fileLink, thumbnail }) {
    super();
    this.#recordingOf = recordingOf;
    this.#fileLink = fileLink;
    this.#thumbnail = thumbnail;
    byId("say").onsubmit = (event) => {
      event.preventDefault();
      const input = byId("say-text");
      const text = input.value.trim();
      if (text) this.dispatchEvent(new CustomEvent("say", { detail: text }));
      input.value = "";
    };
    byId("panel-close").onclick = () => this.toggle(false);
    byId("panel").addEventListener("keydown", ({ key }) => key === "Escape" && this.toggle(false));
  }

  toggle(open = byId("panel").hidden) {
    const button = document.querySelector("[data-action=panel]");
    byId("panel").hidden = !open;
    button.setAttribute("aria-expanded", open);
    if (open) {
      this.#count(0);
      byId("say-text").focus({ preventScroll: true });
      scrollDown();
    } else button.focus();
  }

  reset(lines, you) {
    this.#you = you;
    byId("chat").replaceChildren(...lines.map((line) => this.#line(line)));
    scrollDown();
  }

  add(line) {
    byId("chat").append(this.#line(line));
    if (byId("panel").hidden) this.#count(this.#unread + 1);
    scrollDown();
  }

  /** A recording that was told of is known better now: its line says so. */
  update(notice) {
    for (const item of byId("chat").querySelectorAll(`[data-recording="${CSS.escape(notice.id)}"]`)) {
      if (item.dataset.kind === "RECORDING_AVAILABLE") item.replaceChildren(...this.#available(notice));
    }
  }

  #line(line) {
    const { sender, name, text, at, kind, recording, file } = line;
    const item = document.createElement("li");
    const when = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    if (kind === "FILE_SHARED") {
      item.dataset.own = sender === this.#you;
      item.append(paragraph("small", `${sender === this.#you ? "You" : name || "Somebody"} · ${when}`), this.#fileLink(file));
      return item;
    }
    if (kind !== "CHAT") {
      item.className = "event";
      Object.assign(item.dataset, { kind, recording: recording ?? "" });
      item.append(paragraph("small", [name, RECORDING[kind] ?? "The recording can be watched", `· ${when}`].filter(Boolean).join(" ")));
      const picture = kind === "SNAPSHOT_TAKEN" && file ? this.#thumbnail(file) : null;
      if (picture) {
        picture.querySelector("img").onload = scrollDown; // it had no height before
        item.append(picture);
      }
      if (kind === "RECORDING_AVAILABLE") item.append(...this.#available(this.#recordingOf(recording)));
      return item;
    }
    item.dataset.own = sender === this.#you;
    item.append(paragraph("small", `${sender === this.#you ? "You" : name} · ${when}`), paragraph("", text));
    return item;
  }

  #available(notice) {
    if (!notice) return [];
    const list = document.createElement("ul");
    list.className = "recordings";
    list.append(recordingItem(notice));
    return [list];
  }

  #count(unread) {
    this.#unread = unread;
    byId("unread").textContent = unread;
    byId("unread").hidden = unread === 0;
  }
}

function paragraph(className, text) {
  const made = document.createElement("p");
  made.className = className;
  made.textContent = text;
  return made;
}

function scrollDown() {
  const list = byId("chat");
  list.scrollTop = list.scrollHeight;
}
