/** Files and snapshots of a conversation, wherever they stand: each saved by its own link. */

import { h, icon } from "../dom.js";
import { bytes, dateTime, t } from "../language.js";
import { badge } from "../parts.js";

const TONES = { AVAILABLE: "good", REFUSED: "alert" };

/** All of them, also those that nobody got. */
export function fileList(files) {
  return h("ul", { class: "files" }, files.map(entry));
}

function entry(file) {
  const { state, failure, available_at: at, created_at: begun, name } = file;
  const why = failure ? t(`file_failure.${failure}`) : null;
  return h(
    "li",
    { class: "stack tight", "data-state": state },
    fileLink(file),
    h("span", { class: "soft small" }, [name, dateTime(at ?? begun)].filter(Boolean).join(" · ")),
    state === "AVAILABLE" ? null : h("span", { class: "row tight" }, badge(t(`file.${state}`), TONES[state] ?? ""), why ? h("span", { class: "soft small" }, why) : null),
  );
}

/** To save it, once it can be fetched. */
export function fileLink(file) {
  const known = [icon(file.kind === "SNAPSHOT" ? "picture" : "file"), h("span", {}, file.filename), h("span", { class: "soft small" }, bytes(file.bytes))];
  if (!file.links.content) return h("span", { class: "row" }, known);
  return h("a", { class: "row file-link", href: here(file.links.content), download: file.filename }, known);
}

/** The picture itself, small; following it saves it. */
export function snapshot(file, alt) {
  if (!file.links.content) return fileLink(file);
  return h("a", { class: "snapshot", href: here(file.links.content), download: file.filename }, h("img", { src: here(file.links.content), alt, loading: "lazy" }));
}

/** By the address that this page came from. */
function here(link) {
  const { pathname, search } = new URL(link);
  return pathname + search;
}
