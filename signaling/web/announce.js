/** What is said about recordings: the pill, the banner, the agent's button, the list and the player. */

import { clock, playButton } from "./player.js";

const ACTIVE = new Set(["REQUESTED", "LAUNCHING", "READY", "RECORDING", "PAUSED"]);
const WORDS = {
  REQUESTED: "Recording requested",
  LAUNCHING: "Recording requested",
  READY: "Recording starts",
  RECORDING: "Recording",
  PAUSED: "Recording paused",
  FINALIZING: "Saving the recording",
};
const BUTTON = { none: "Record", requested: "Starting…", launching: "Starting…", finalizing: "Saving…" };

const byId = (id) => document.getElementById(id);

/** Events: `start`, `stop`, `available` (detail: the recording). */
export class Announcement extends EventTarget {
  #recordings = new Map(); // id -> notice and when it came
  #pending = null; // asked for, without an id yet
  #mayRecord = false;

  constructor() {
    super();
    byId("record").onclick = () => {
      this.dispatchEvent(new Event(this.#current()?.id ? "stop" : "start"));
    };
    setInterval(() => this.#tick(), 500);
  }

  /** The whole truth, as the welcome has it. */
  reset(notices, mayRecord) {
    this.#mayRecord = mayRecord;
    this.#recordings.clear();
    this.#pending = null;
    notices.forEach((notice) => this.#keep(notice));
    this.#show();
  }

  /** One recording is now like this. */
  changed(notice) {
    const before = this.#recordings.get(notice.id)?.notice.state;
    this.#keep(notice);
    this.#show();
    if (notice.state === "AVAILABLE" && before && before !== "AVAILABLE") {
      this.dispatchEvent(new CustomEvent("available", { detail: notice }));
    }
  }

  #keep(notice) {
    if (notice.id) this.#recordings.set(notice.id, { notice, at: performance.now() });
    this.#pending = notice.id === null && ACTIVE.has(notice.state) ? notice : null;
  }

  /** The recording to speak of: one that runs, or is being saved. */
  #current() {
    const notices = [...this.#recordings.values()].map(({ notice }) => notice);
    const running = notices.filter(({ state }) => ACTIVE.has(state)).at(-1);
    return running ?? this.#pending ?? notices.filter(({ state }) => state === "FINALIZING").at(-1) ?? null;
  }

  #show() {
    const current = this.#current();
    const state = current ? current.state.toLowerCase() : "none";
    document.body.dataset.recording = state;
    byId("recording-label").textContent = current ? WORDS[current.state] : "";
    byId("banner").hidden = !current?.banner;
    byId("banner-text").textContent = current?.banner ?? "";
    const button = byId("record");
    button.hidden = !this.#mayRecord;
    button.disabled = ["requested", "launching", "finalizing"].includes(state);
    byId("record-label").textContent = BUTTON[state] ?? "Stop recording";
    this.#list();
    this.#tick();
  }

  #tick() {
    const current = this.#current();
    const kept = current?.id ? this.#recordings.get(current.id) : null;
    const counts = kept?.notice.elapsed_s != null;
    const running = kept?.notice.state === "RECORDING" ? (performance.now() - kept.at) / 1000 : 0;
    byId("recording-time").textContent = counts ? clock(kept.notice.elapsed_s + running) : "";
  }

  #list() {
    const items = [...this.#recordings.values()].map(({ notice }) => notice).filter(({ state }) => !ACTIVE.has(state));
    byId("recordings").replaceChildren(...items.map((notice, index) => listed(notice, index + 1)));
  }
}

function listed(notice, number) {
  const item = document.createElement("li");
  item.dataset.state = notice.state;
  const title = document.createElement("span");
  title.textContent = `Recording ${number}`;
  const detail = document.createElement("span");
  detail.className = "small";
  detail.textContent = {
    AVAILABLE: notice.duration_s == null ? "Saved" : clock(notice.duration_s),
    FINALIZING: "Being saved…",
    FAILED: `Failed${notice.failure ? ` (${notice.failure})` : ""}`,
  }[notice.state];
  item.append(title, detail);
  if (notice.links.media) item.append(playButton(notice));
  return item;
}
