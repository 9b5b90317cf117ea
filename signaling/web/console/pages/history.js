/** The history: conversations found again, and the fly-in with all recordings of the one that is selected. */

import { all, call } from "../api.js";
import { h, icon, link } from "../dom.js";
import { clock, count, dateTime, t } from "../language.js";
import { badge, empty, facts, field, fill, openDialog, pageHead, select, table } from "../parts.js";
import { recordingList } from "./recording_list.js";

const PAGE_ITEMS = 50;
const FIELDS = ["participant", "metadata", "external_id", "state", "from", "until", "account"];

export function show(place, { query, go, signal, signedIn, may }) {
  const results = h("div", { class: "results" });
  const form = searchForm(query, signedIn, (values) => go(address(values)));
  place.append(pageHead(t("history.title"), t("history.note")), form, results);
  fill(results, () => page(query, { go, may, signal }), signal);
}

// --- searching ---------------------------------------------------------------------------------------------
function searchForm(query, signedIn, found) {
  const text = (name, hint) => (tied) =>
    h("input", { type: "search", name, value: query.get(name) ?? "", maxlength: "256", autocomplete: "off", placeholder: hint, ...tied });
  const date = (name) => (tied) => h("input", { type: "date", name, value: query.get(name) ?? "", ...tied });
  const states = [["", t("any")], ["RUNNING", t("conversation.RUNNING")], ["ENDED", t("conversation.ENDED")]];
  const state = (tied) => select(states, { name: "state", ".chosen": query.get("state") ?? "", ...tied });
  const form = h(
    "form",
    { class: "search", role: "search", "aria-label": t("history.search") },
    field(t("history.participant"), text("participant", t("history.participant_hint"))),
    field(t("history.metadata"), text("metadata", t("history.metadata_hint"))),
    field(t("history.reference"), text("external_id", "")),
    field(t("history.state"), state),
    field(t("history.from"), date("from")),
    field(t("history.until"), date("until")),
    signedIn.account === null ? field(t("account"), text("account", t("any"))) : null,
    h(
      "div",
      { class: "row search-actions" },
      h("button", { class: "button primary" }, icon("search"), t("search")),
      link("/console/history", { class: "button quiet" }, t("search.clear")),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    found(new FormData(form));
  });
  return form;
}

function address(values) {
  const given = FIELDS.map((name) => [name, (values.get(name) ?? "").trim()]).filter(([, value]) => value);
  return `/console/history${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** As the API takes it; the dates are days where the reader is, both included. */
function asked(query) {
  const { from, until, ...plain } = Object.fromEntries(FIELDS.map((name) => [name, query.get(name)]));
  return {
    ...plain,
    created_from: from && dayStart(from, 0),
    created_until: until && dayStart(until, 1),
    after: query.get("after"),
    order: "newest_first",
    limit: PAGE_ITEMS,
  };
}

function dayStart(text, later) {
  const [year, month, day] = text.split("-").map(Number);
  return new Date(year, month - 1, day + later).toISOString();
}

// --- what was found ----------------------------------------------------------------------------------------
async function page(query, { go, may, signal }) {
  const { items, next_after } = await call("GET", "/v1/conversation-overviews", { query: asked(query), signal });
  if (query.get("selected")) select_(query.get("selected"), query, go, may, signal);
  if (items.length === 0) return [nothing(query)];
  return [list(items, query, go, may, signal), pager(query, next_after)];
}

function nothing(query) {
  const searched = FIELDS.some((name) => query.get(name)) || query.get("after");
  if (!searched) return empty(t("history.none"), t("history.none_text"), "chat");
  return empty(t("history.not_found"), t("history.not_found_text"), "search", link("/console/history", { class: "button" }, t("search.clear")));
}

function list(items, query, go, may, signal) {
  const columns = [
    { title: t("history.began"), cell: (one) => began(one, query), kind: "keep" },
    { title: t("history.participants"), cell: (one) => people(one.participants), kind: "free" },
    { title: t("history.reference"), cell: ({ conversation }) => conversation.external_id ?? h("span", { class: "soft" }, "–"), kind: "free" },
    { title: t("history.state"), cell: ({ conversation }) => conversationBadge(conversation) },
    { title: t("history.length"), cell: ({ conversation }) => length(conversation), end: true },
    { title: t("history.recordings"), cell: recorded, kind: "keep" },
  ];
  const row = (one) => ({
    class: "selectable",
    onclick: (event) => event.target.closest("a") || select_(one.id, query, go, may, signal),
  });
  const made = table(t("history.title"), columns, items, { row });
  made.addEventListener("click", (event) => {
    const anchor = event.target.closest("a[data-selects]");
    if (!anchor || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    select_(anchor.dataset.selects, query, go, may, signal);
  });
  return made;
}

function began({ id, conversation }, query) {
  const selecting = new URLSearchParams(query);
  selecting.set("selected", id);
  return link(`/console/history?${selecting}`, { class: "cell-link", "data-selects": id }, dateTime(conversation.created_at));
}

function people(participants) {
  if (participants.length === 0) return h("span", { class: "soft" }, t("nobody"));
  return participants.map((one) => one.name).join(", ");
}

export function conversationBadge({ ended_at }) {
  return ended_at ? badge(t("conversation.ENDED")) : badge(t("conversation.RUNNING"), "accent");
}

function length({ created_at, ended_at }) {
  return ended_at ? clock((new Date(ended_at) - new Date(created_at)) / 1000) : "–";
}

function recorded(one) {
  if (one.recordings === 0) return h("span", { class: "soft" }, t("recordings.none"));
  const told = one.recorded_s > 0 ? `${count("recordings", one.recordings)} · ${clock(one.recorded_s)}` : count("recordings", one.recordings);
  return h(
    "span",
    { class: "row tight" },
    told,
    one.recordings_running ? badge(t("recordings.running"), "accent") : null,
    one.recordings_failed ? badge(t("recordings.failed"), "alert") : null,
  );
}

function pager(query, after) {
  const first = new URLSearchParams(query);
  first.delete("after");
  first.delete("selected");
  const older = new URLSearchParams(first);
  older.set("after", after ?? "");
  return h(
    "nav",
    { class: "row spread pager", "aria-label": t("pages") },
    query.get("after") ? link(`/console/history?${first}`, { class: "button" }, t("pages.newest")) : h("span", {}),
    after ? link(`/console/history?${older}`, { class: "button" }, t("pages.older")) : h("span", { class: "soft small" }, t("pages.end")),
  );
}

// --- the fly-in --------------------------------------------------------------------------------------------
function select_(id, query, go, may, signal) {
  const address = (selected) => {
    const kept = new URLSearchParams(query);
    if (selected) kept.set("selected", selected);
    else kept.delete("selected");
    return `/console/history${kept.size ? `?${kept}` : ""}`;
  };
  go(address(id), { replace: true, quiet: true });
  const body = h("div", { class: "stack wide" });
  const unselect = () => signal.aborted || go(address(null), { replace: true, quiet: true });
  openDialog("fly-in", t("conversation.title"), body, { onclose: unselect });
  fill(body, () => selected(id, may, signal), signal);
}

async function selected(id, may, signal) {
  const [conversation, participants, recordings] = await Promise.all([
    call("GET", `/v1/conversations/${id}`, { signal }),
    all(`/v1/conversations/${id}/participants`, { signal }),
    may("recordings:read") ? all("/v1/recordings", { query: { conversation: id }, signal }) : [],
  ]);
  return [
    h("div", { class: "row spread" }, conversationBadge(conversation), link(`/console/conversations/${id}`, { class: "button primary" }, icon("chat"), t("conversation.open"))),
    conversationFacts(conversation, participants),
    h("section", { class: "stack" }, h("h3", {}, t("recordings.title")), recordingList(recordings)),
  ];
}

export function conversationFacts(conversation, participants) {
  const metadata = Object.entries(conversation.metadata).map(([key, value]) => h("li", {}, h("span", { class: "soft" }, `${key}: `), value));
  const present = participants.map((one) => h("li", {}, one.name, " ", h("span", { class: "soft small" }, t(`role.${one.role}`))));
  return facts([
    [t("history.began"), dateTime(conversation.created_at)],
    [t("history.ended"), conversation.ended_at ? dateTime(conversation.ended_at) : null],
    [t("history.length"), conversation.ended_at ? length(conversation) : null],
    [t("history.participants"), present.length ? h("ul", {}, present) : t("nobody")],
    [t("history.reference"), conversation.external_id],
    [t("template"), conversation.template],
    [t("account"), conversation.account],
    [t("history.metadata"), metadata.length ? h("ul", {}, metadata) : null],
    [t("conversation.id"), h("code", { class: "small" }, conversation.id)],
  ]);
}

