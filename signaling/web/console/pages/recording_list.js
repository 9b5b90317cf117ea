/** Recordings of one conversation: each a link that opens it in a new tab, with all that is known of it. */

import { h, icon, link } from "../dom.js";
import { bytes, clock, count, dateTime, has, t, time } from "../language.js";
import { facts, recordingBadge } from "../parts.js";

/** `found`: recordings with their attempts, as /v1/recordings lists them. */
export function recordingList(found) {
  if (found.length === 0) return h("p", { class: "soft" }, t("recordings.none_text"));
  return h("ul", { class: "recordings" }, found.map((one) => h("li", {}, recordingCard(one))));
}

export function recordingCard({ recording, attempts }) {
  const { id, type, state, filename } = recording;
  return h(
    "article",
    { class: "recording", "data-state": state },
    h(
      "div",
      { class: "row spread" },
      link(
        `/console/recordings/${id}`,
        { class: "recording-link", target: "_blank", rel: "noopener" },
        icon(type === "AUDIO" ? "audio" : "video"),
        h("span", {}, filename ?? id),
        icon("open"),
        h("span", { class: "hidden-text" }, t("new_tab")),
      ),
      recordingBadge(state),
    ),
    recordingFacts(recording, attempts),
  );
}

export function recordingFacts(recording, attempts = []) {
  return facts([
    [t("recording.type"), t(`type.${recording.type}`)],
    [t("recording.start"), recording.started_at ? dateTime(recording.started_at) : null],
    [t("recording.end"), recording.ended_at ? time(recording.ended_at) : null],
    [t("recording.duration"), recording.duration_s === null ? null : clock(recording.duration_s)],
    [t("recording.size"), recording.bytes === null ? null : bytes(recording.bytes)],
    [t("recording.end_reason"), recording.end_reason ? t(`end.${recording.end_reason}`) : null],
    [t("recording.failure"), recording.failure ? failure(recording.failure) : null],
    [t("recording.attempts"), attempts.length ? tries(attempts) : null],
  ]);
}

function tries(attempts) {
  const failed = attempts.filter((one) => one.failure);
  const told = count("attempts", attempts.length);
  if (failed.length === 0) return told;
  return [told, h("ul", { class: "soft small" }, failed.map((one) => h("li", {}, `${one.number}. ${failure(one.failure)}`)))];
}

/** What a failure's code means; the code itself where nobody has put it into words. */
export function failure(code) {
  return has(`failure.${code}`) ? t(`failure.${code}`) : code;
}
