/** One conversation: what was said, with recordings' start, end and availability at their place. */

import { all, call } from "../api.js";
import { h, icon, link } from "../dom.js";
import { bytes, clock, dateTime, t, time } from "../language.js";
import { action, confirmed, empty, fill, pageHead, toast } from "../parts.js";
import { fileLink, fileList, snapshot } from "./file_list.js";
import { conversationBadge, conversationFacts } from "./history.js";
import { failure, recordingList } from "./recording_list.js";

export function show(place, { parts: [id], may, signal }) {
  const body = h("div", { class: "stack wide" });
  place.append(
    h("nav", { "aria-label": t("breadcrumb") }, link("/console/history", { class: "soft" }, t("history.title"))),
    pageHead(t("conversation.title")),
    body,
  );
  const load = () => fill(body, () => content(id, may, load, signal), signal);
  load();
}

async function content(id, may, load, signal) {
  const sees = may("recordings:read");
  const [conversation, participants, messages, files, recordings] = await Promise.all([
    call("GET", `/v1/conversations/${id}`, { signal }),
    all(`/v1/conversations/${id}/participants`, { signal }),
    all(`/v1/conversations/${id}/messages`, { signal }),
    all(`/v1/conversations/${id}/files`, { signal }),
    sees ? all("/v1/recordings", { query: { conversation: id }, signal }) : [],
  ]);
  return h(
    "div",
    { class: "conversation" },
    h("section", { class: "card" }, h("h2", {}, t("conversation.said")), transcript(messages, recordings, files)),
    h(
      "aside",
      { class: "stack wide", "aria-label": t("conversation.about") },
      h("section", { class: "card stack" }, h("div", { class: "row spread" }, h("h2", {}, t("conversation.about")), conversationBadge(conversation)), conversationFacts(conversation, participants), ending(conversation, may, load)),
      h("section", { class: "card stack" }, h("h2", {}, t("recordings.title")), recordingList(recordings)),
      files.length ? h("section", { class: "card stack" }, h("h2", {}, t("files.title")), fileList(files)) : null,
    ),
  );
}

/** A call that nobody ends goes on: its room can be entered again, and its recordings stay. */
function ending({ id, ended_at }, may, load) {
  if (ended_at || !may("conversations:write")) return null;
  return action(t("conversation.end"), () => end(id, load), { kind: "danger compact", iconName: "stop" });
}

async function end(id, load) {
  if (!(await confirmed(t("conversation.end_question"), t("conversation.end")))) return;
  await call("POST", `/v1/conversations/${id}/end`);
  toast(t("conversation.end_done"));
  load();
}

/** Messages in the order of their times: a recording's start is written down a moment after it. */
export function inOrder(messages) {
  return [...messages].sort((one, other) => (one.at === other.at ? (one.id < other.id ? -1 : 1) : one.at < other.at ? -1 : 1));
}

function transcript(messages, recordings, files) {
  if (messages.length === 0) return empty(t("conversation.nothing_said"), t("conversation.nothing_said_text"), "chat");
  const byId = Object.fromEntries(recordings.map((one) => [one.id, one.recording]));
  const fileById = Object.fromEntries(files.map((one) => [one.id, one]));
  return h("ol", { class: "transcript" }, inOrder(messages).map((message) => entry(message, byId[message.recording], fileById[message.file])));
}

function entry(message, recording, file) {
  const at = h("time", { datetime: message.at, title: dateTime(message.at), class: "soft small number" }, time(message.at));
  if (message.kind === "CHAT") {
    return h("li", { class: "said" }, h("div", { class: "row" }, h("strong", {}, message.name ?? t("somebody")), at), h("p", {}, message.text));
  }
  if (message.kind === "FILE_SHARED" && file) {
    return h("li", { class: "said" }, h("div", { class: "row" }, h("strong", {}, message.name ?? t("somebody")), at), h("p", {}, fileLink(file)));
  }
  if (message.kind === "SNAPSHOT_TAKEN" && file) {
    const told = t("message.SNAPSHOT_TAKEN", { name: message.name ?? t("somebody") });
    return h("li", { class: "available" }, h("div", { class: "row spread" }, h("strong", { class: "row" }, icon("picture"), told), at), snapshot(file, told));
  }
  if (message.kind === "RECORDING_AVAILABLE") return h("li", { class: "available" }, available(message, recording, at));
  return h("li", { class: "happened", "data-kind": message.kind }, h("span", {}, happened(message, recording)), at);
}

function happened({ kind, name }, recording) {
  const because = kind === "RECORDING_FAILED" && recording?.failure ? `: ${failure(recording.failure)}` : "";
  return t(`message.${kind}`, { name: name ?? t("somebody") }) + because;
}

function available({ recording: id }, recording, at) {
  return [
    h("div", { class: "row spread" }, h("strong", { class: "row" }, icon(recording?.type === "AUDIO" ? "audio" : "video"), t("message.RECORDING_AVAILABLE")), at),
    link(
      `/console/recordings/${id}`,
      { class: "recording-link", target: "_blank", rel: "noopener" },
      h("span", {}, recording?.filename ?? id),
      icon("open"),
      h("span", { class: "hidden-text" }, t("new_tab")),
    ),
    recording ? h("p", { class: "soft small" }, [clock(recording.duration_s), bytes(recording.bytes)].join(" · ")) : null,
  ];
}
