/** What is said about recordings: the pill, the banner, the agent's button, the list and the player. */

import { clock, playButton, sizeOf } from "./player.js";

const ENDED = new Set(["FINALIZING", "AVAILABLE", "FAILED"]);
const PILL = {
  STARTING: "Recording starts",
  RECORDING: "Recording",
  WAITING: "Recording waits",
  PAUSED: "Recording paused",
  INTERRUPTED: "Not recording",
};
const COUNTS = new Set(["RECORDING", "WAITING", "PAUSED"]);
const BUTTON = { START: "Record", WAIT: "Starting…", STOP: "Stop recording" };
const OFF = {
  storage_test_failed: "The call cannot be recorded now: the storage of this server does not work.",
};
const NOTHING = { kind: "NONE", text: null, recording: null, elapsed_s: null, action: null };

const byId = (id) => document.getElementById(id);

/** Events: `start`, `stop`, `available` (detail: the recording). */
export class Announcement extends EventTarget {
  #recordings = new Map(); // id -> notice
  #status = NOTHING;
  #since = 0;
  #service = { enabled: true, reason: null };

  constructor() {
    super();
    byId("record").onclick = () => {
      this.dispatchEvent(new Event(this.#status.action === "STOP" ? "stop" : "start"));
    };
    setInterval(() => this.#tick(), 500);
  }

  /** The whole truth, as the welcome has it. */
  reset(status = NOTHING, notices = []) {
    this.#recordings = new Map(notices.map((notice) => [notice.id, notice]));
    this.#list();
    this.announce(status);
  }

  /** This is true from now on. */
  announce(status) {
    this.#status = status;
    this.#since = performance.now();
    document.body.dataset.recording = status.kind.toLowerCase();
    byId("recording-label").textContent = PILL[status.kind] ?? "";
    byId("banner").hidden = !status.text;
    byId("banner-text").textContent = status.text ?? "";
    this.#offer();
    this.#tick();
  }

  /** Whether a recording can be started at all. */
  allow({ recording }) {
    this.#service = recording;
    this.#offer();
  }

  /** What is known of a recording; undefined where nothing is. */
  recording(id) {
    return this.#recordings.get(id);
  }

  /** One recording is now like this. */
  changed(notice) {
    const before = this.#recordings.get(notice.id)?.state;
    this.#recordings.set(notice.id, notice);
    this.#list();
    if (notice.state === "AVAILABLE" && before && before !== "AVAILABLE") {
      this.dispatchEvent(new CustomEvent("available", { detail: notice }));
    }
  }

  #offer() {
    const { action } = this.#status;
    const off = action === "START" && !this.#service.enabled;
    const button = byId("record");
    button.hidden = action === null;
    button.disabled = action === "WAIT" || off;
    button.title = off ? (OFF[this.#service.reason] ?? "The call cannot be recorded here.") : "";
    byId("record-label").textContent = BUTTON[action] ?? "";
  }

  #tick() {
    const { kind, elapsed_s } = this.#status;
    const shown = COUNTS.has(kind) && elapsed_s !== null;
    const since = kind === "PAUSED" ? 0 : (performance.now() - this.#since) / 1000;
    byId("recording-time").textContent = shown ? clock(elapsed_s + since) : "";
  }

  #list() {
    const ended = [...this.#recordings.values()].filter(({ state }) => ENDED.has(state));
    byId("recordings").replaceChildren(...ended.map((notice, index) => recordingItem(notice, index + 1)));
  }
}

/** One recording that is over, as a line of a list. */
export function recordingItem(notice, number = null) {
  const item = document.createElement("li");
  item.dataset.state = notice.state;
  const title = document.createElement("span");
  title.className = "filename";
  title.textContent = notice.filename ?? (number === null ? "Recording" : `Recording ${number}`);
  const detail = document.createElement("span");
  detail.className = "small";
  detail.textContent = factsOf(notice).join(" · ");
  item.append(title, detail);
  if (notice.links.media) item.append(playButton(notice));
  return item;
}

function factsOf({ state, duration_s, bytes, problem }) {
  if (state === "FINALIZING") return ["Being saved…"];
  if (state === "FAILED") return [`Not recorded${problem ? `: ${problem}` : ""}`];
  const facts = [duration_s == null ? "Saved" : clock(duration_s), bytes == null ? null : sizeOf(bytes)];
  return [...facts, problem ? `incomplete: ${problem}` : null].filter(Boolean);
}
