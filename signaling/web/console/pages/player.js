/** One recording: the video, who was there below it, what was written beside it; live ones are followed. */

import { all, call, send } from "../api.js";
import { at } from "../base.js";
import { h, icon, link } from "../dom.js";
import { canFollow, follow } from "../following.js";
import { clock, t } from "../language.js";
import { fill, notice, pageHead, recordingBadge, words } from "../parts.js";
import { chapters, lanes, parse } from "../timeline_model.js";
import { inOrder } from "./conversation.js";
import { failure, recordingFacts } from "./recording_list.js";
import { timeline } from "./timeline.js";

const OVER = ["AVAILABLE", "FAILED"];
const LOOK_EVERY_MS = 3000;
const HLS = "application/vnd.apple.mpegurl";
const SEEK_S = { ArrowLeft: -5, ArrowRight: 5, j: -10, l: 10 };

export function show(place, { parts: [id], may, signal }) {
  const head = h("div", {}, pageHead(t("player.title")));
  const body = h("div", { class: "stack" });
  place.append(head, body);
  fill(body, () => content(id, head, may, signal), signal);
}

async function content(id, head, may, signal) {
  const details = await call("GET", `/v1/recordings/${id}/details`, { signal });
  const { recording, conversation, attempts } = details;
  document.title = `${recording.filename ?? id} – ${t("brand")}`;
  head.replaceChildren(...heading(recording, conversation, may));
  const player = new Player(id, recording, signal);
  const messages = may("conversations:read") ? await all(`/v1/conversations/${conversation.id}/messages`, { signal }) : [];
  player.showChat(messages);
  player.start().catch((error) => player.failed(error));
  return [
    player.root,
    h("section", { class: "card stack" }, h("h2", {}, t("player.about")), recordingFacts(recording, attempts)),
  ];
}

function heading(recording, conversation, may) {
  const media = `/v1/recordings/${recording.id}/media?download=true`;
  return [
    may("conversations:read")
      ? h("nav", { "aria-label": t("breadcrumb") }, link(`/console/conversations/${conversation.id}`, { class: "soft" }, t("conversation.title")))
      : null,
    pageHead(
      recording.filename ?? recording.id,
      null,
      recordingBadge(recording.state),
      h("a", { class: "button", href: at(media), download: recording.filename ?? "" }, icon("download"), t("download")),
    ),
  ].filter(Boolean);
}

class Player {
  #id;
  #recording;
  #signal;
  #said = [];

  constructor(id, recording, signal) {
    this.#id = id;
    this.#recording = recording;
    this.#signal = signal;
    const sound = recording.type === "AUDIO";
    this.video = h("video", { controls: true, playsinline: true, preload: "metadata", class: sound ? "sound" : null, "aria-label": t("player.title") });
    this.problem = h("div", {});
    this.chat = h("ol", { class: "chat-list", tabindex: "0", "aria-label": t("player.chat") });
    this.timeline = timeline((seconds) => this.seek(seconds));
    this.chapters = h("ol", { class: "chapters" });
    this.root = h(
      "div",
      { class: "player" },
      h("div", { class: "stack player-main" }, this.problem, this.video, this.timeline.root, h("section", { class: "stack tight", "aria-label": t("player.chapters") }, this.chapters), h("p", { class: "hint" }, t("player.keys"))),
      h("aside", { class: "card stack player-chat", "aria-label": t("player.chat") }, h("h2", {}, t("player.chat")), this.chat),
    );
    this.video.addEventListener("timeupdate", () => this.#moved());
    this.video.addEventListener("loadedmetadata", () => this.drawEvents());
    this.video.addEventListener("error", () => this.#broken());
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  get #path() {
    return `/v1/recordings/${this.#id}`;
  }

  get duration() {
    const known = this.video.duration;
    return Number.isFinite(known) && known > 0 ? known : Math.max(this.#recording.duration_s ?? 0, this.#buffered());
  }

  #buffered() {
    const { buffered } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  async start() {
    if (OVER.includes(this.#recording.state)) {
      this.#load();
    } else {
      this.#watch();
      if (!prefersHls(this.video) && canFollow()) {
        this.problem.replaceChildren(notice("", t("player.live")));
        follow(this.video, at(`${this.#path}/media`), this.#signal).catch((error) => this.failed(error));
      } else this.#load();
    }
    await this.readEvents();
  }

  #load() {
    this.video.src = at(prefersHls(this.video) ? `${this.#path}/hls/index.m3u8` : `${this.#path}/media`);
  }

  /** What changes while it is recorded: its length, who is there, what is written. */
  #watch() {
    const timer = setInterval(() => this.#look().catch(() => null), LOOK_EVERY_MS); // the next look may work
    this.#signal.addEventListener("abort", () => clearInterval(timer));
  }

  async #look() {
    if (OVER.includes(this.#recording.state)) return;
    this.#recording = await call("GET", this.#path, { signal: this.#signal });
    await this.readEvents();
    if (OVER.includes(this.#recording.state)) this.problem.replaceChildren(notice("good", t("player.over")));
  }

  async readEvents() {
    try {
      this.events = parse(await (await send("GET", `${this.#path}/events.jsonl`, { headers: { Accept: "*/*" }, signal: this.#signal })).text());
    } catch (error) {
      if (error.code !== "no_events") throw error;
      this.events = [];
    }
    this.drawEvents();
  }

  drawEvents() {
    const { duration } = this;
    if (!this.events || duration <= 0) return;
    this.timeline.show(lanes(this.events, duration), duration);
    this.chapters.replaceChildren(...chapters(this.events).map((one) => this.#chapter(one)));
    this.#moved();
  }

  #chapter({ at: seconds, kind, name }) {
    const go = () => this.seek(seconds);
    const what = h("span", {}, t(`chapter.${kind}`, { name: name ?? t("somebody") }));
    return h("li", {}, h("button", { type: "button", class: "button quiet compact", onclick: go }, h("span", { class: "number soft" }, clock(seconds)), " ", what));
  }

  // --- the time ----------------------------------------------------------------------------------------------
  seek(seconds) {
    this.video.currentTime = seconds;
    this.timeline.at(seconds);
  }

  #moved() {
    const now = this.video.currentTime;
    this.timeline.at(now);
    const current = this.#said.findLast(({ at }) => at <= now);
    for (const { element } of this.#said) element.toggleAttribute("data-current", element === current?.element);
    if (current && current.element !== this.shown) scrollWithin(this.chat, current.element);
    this.shown = current?.element;
  }

  #key(event) {
    if (event.target.closest("input, select, textarea, button, a, [role=slider], video") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " || event.key === "k") this.video.paused ? this.video.play() : this.video.pause();
    else if (event.key in SEEK_S) this.seek(Math.min(this.duration, Math.max(0, this.video.currentTime + SEEK_S[event.key])));
    else if (event.key === "m") this.video.muted = !this.video.muted;
    else if (event.key === "f") document.fullscreenElement ? document.exitFullscreen() : this.video.requestFullscreen();
    else return;
    event.preventDefault();
  }

  // --- the chat ----------------------------------------------------------------------------------------------
  showChat(messages) {
    const zero = new Date(this.#recording.started_at ?? this.#recording.requested_at).getTime();
    const said = inOrder(messages).filter((one) => one.kind === "CHAT");
    this.#said = said.map((message) => ({ at: (new Date(message.at) - zero) / 1000, element: null, message }));
    for (const one of this.#said) one.element = this.#message(one);
    const none = h("li", { class: "soft" }, t("player.no_chat"));
    this.chat.replaceChildren(...(this.#said.length ? this.#said.map(({ element }) => element) : [none]));
  }

  #message({ at, message }) {
    const within = at >= 0 && at <= (this.#recording.duration_s ?? Infinity);
    const label = within ? clock(at) : t(at < 0 ? "player.before" : "player.after");
    const when = within
      ? h("button", { type: "button", class: "jump number", onclick: () => this.seek(at) }, label)
      : h("span", { class: "soft small" }, label);
    return h("li", { class: "chat-line" }, h("div", { class: "row spread" }, h("strong", {}, message.name ?? t("somebody")), when), h("p", {}, message.text));
  }

  // --- what goes wrong ---------------------------------------------------------------------------------------
  #broken() {
    const { state, failure: code } = this.#recording;
    if (state === "FAILED") this.failed(null, t("player.failed", { reason: code ? failure(code) : t("recording.FAILED") }));
    else if (this.video.error) this.failed(null, t("player.cannot_play"));
  }

  failed(error, text = null) {
    if (error?.name === "AbortError") return;
    this.problem.replaceChildren(notice("alert", text ?? words(error)));
  }
}

/** Safari plays fragmented files by their playlist alone. */
function prefersHls(video) {
  return navigator.vendor.startsWith("Apple") && video.canPlayType(HLS) !== "";
}

function scrollWithin(list, element) {
  const top = element.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + element.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
}
