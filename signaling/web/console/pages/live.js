/** What is being recorded now, as the server tells it: state, length, what was lost, how far the store is behind. */

import { call } from "../api.js";
import { at } from "../base.js";
import { h, icon, link } from "../dom.js";
import { bytes, clock, decimal, t } from "../language.js";
import { action, badge, confirmed, empty, loading, notice, pageHead, recordingBadge, table, toast } from "../parts.js";

const LAG_S_WARNING = 5;

export function show(place, { may, signal }) {
  const state = h("div", { class: "said" });
  const list = h("div", { "aria-live": "off" }, loading());
  place.append(pageHead(t("live.title"), t("live.note")), state, list);
  const events = new EventSource(at("/v1/live/events"));
  signal.addEventListener("abort", () => events.close());
  let before = "";
  events.addEventListener("live", ({ data }) => {
    state.replaceChildren();
    const { items } = JSON.parse(data);
    const ids = items.map((one) => one.id + one.recording.state).join();
    if (ids === before && items.length) refresh(list, items);
    else list.replaceChildren(items.length ? rows(items, may) : empty(t("live.none"), t("live.none_text"), "live"));
    before = ids;
  });
  events.addEventListener("error", () => state.replaceChildren(notice("warning", t("live.lost"))));
}

function rows(items, may) {
  const columns = [
    { title: t("live.conversation"), cell: ({ conversation }) => link(`/console/conversations/${conversation.id}`, { class: "cell-link" }, conversation.external_id ?? conversation.id) },
    { title: t("history.state"), cell: ({ recording }) => recordingBadge(recording.state) },
    { title: t("recording.type"), cell: ({ recording }) => t(`type.${recording.type}`) },
    ...measured().map(([title, cell, name]) => ({ title, cell: (one) => h("span", { "data-live": name }, cell(one)), end: true })),
    { title: t("actions"), cell: (one) => actions(one, may) },
  ];
  return table(t("live.title"), columns, items, { row: (one) => ({ "data-id": one.id }) });
}

/** What moves every second. */
function measured() {
  return [
    [t("recording.duration"), ({ recording }) => clock(recording.duration_s ?? 0), "duration"],
    [t("live.publishers"), (one) => decimal(one.publishers), "publishers"],
    [t("live.lost_packets"), (one) => `${decimal(one.packets_lost)} / ${decimal(one.dropped)}`, "lost"],
    [t("live.lag"), lag, "lag"],
  ];
}

function lag(one) {
  const told = bytes(one.unsent_bytes);
  return one.spool_lag_s > LAG_S_WARNING || one.degraded ? [told, " ", badge(one.degraded ? t("live.degraded") : clock(one.spool_lag_s), "warning")] : told;
}

/** Only texts that changed are another, so that who reads or holds the focus is left alone. */
function refresh(list, items) {
  for (const one of items) {
    const row = list.querySelector(`[data-id="${CSS.escape(one.id)}"]`);
    for (const [, cell, name] of measured()) row?.querySelector(`[data-live="${name}"]`)?.replaceChildren(...[cell(one)].flat());
  }
}

function actions({ id, recording }, may) {
  const watch = link(`/console/recordings/${id}`, { class: "button compact", target: "_blank", rel: "noopener" }, icon("video"), t("live.watch"), h("span", { class: "hidden-text" }, t("new_tab")));
  if (!may("recordings:write") || recording.state === "FINALIZING") return watch;
  return h("span", { class: "row tight" }, watch, action(t("live.stop"), () => stop(id), { kind: "danger compact", iconName: "stop" }));
}

async function stop(id) {
  if (!(await confirmed(t("live.stop_question"), t("live.stop")))) return;
  await call("POST", `/v1/recordings/${id}/stop`);
  toast(t("live.stopped"));
}
