/** Minutes and bytes by account and day: a chart, its numbers, and the sums. */

import { call } from "../api.js";
import { h, link } from "../dom.js";
import { bytes, day, decimal, t } from "../language.js";
import { empty, fill, pageHead, select, table } from "../parts.js";

const DAYS = ["7", "30", "90", "365"];
const DAY_MS = 86_400_000;
const SVG = "http://www.w3.org/2000/svg";
const SERIES_MAX = 5; // colours; what is beyond is one

export function show(place, { query, go, signal }) {
  const days = DAYS.includes(query.get("days")) ? query.get("days") : "30";
  const choice = select(DAYS.map((one) => [one, t("usage.days", { days: one })]), { "aria-label": t("usage.period"), ".chosen": days });
  choice.addEventListener("change", () => go(`/console/usage?days=${choice.value}`));
  const body = h("div", { class: "stack" });
  place.append(pageHead(t("usage.title"), t("usage.note"), choice), body);
  fill(body, () => content(Number(days), signal), signal);
}

async function content(days, signal) {
  const until = new Date(Math.ceil(Date.now() / DAY_MS) * DAY_MS);
  const since = new Date(until - days * DAY_MS);
  const { items } = await call("GET", "/v1/usage", { query: { since: since.toISOString(), until: until.toISOString(), by: "day" }, signal });
  if (items.length === 0) return empty(t("usage.none"), t("usage.none_text"), "usage", link("/console/usage?days=365", { class: "button" }, t("usage.days", { days: 365 })));
  const accounts = [...new Set(items.map((one) => one.account))];
  return [sums(items), chart(items, accounts, since, days), numbers(items)];
}

function sums(items) {
  const total = (name) => items.reduce((sum, one) => sum + one[name], 0);
  const tile = (name, value) => h("div", { class: "tile" }, h("p", { class: "soft small" }, name), h("p", { class: "value" }, value));
  return h("div", { class: "tiles" }, tile(t("usage.minutes"), decimal(total("minutes"))), tile(t("recordings.title"), decimal(total("recordings"))), tile(t("recording.size"), bytes(total("bytes"))));
}

// --- the chart ---------------------------------------------------------------------------------------------
function chart(items, accounts, since, days) {
  const width = 1000;
  const height = 240;
  const periods = Array.from({ length: days }, (_, place) => new Date(since.getTime() + place * DAY_MS).toISOString().slice(0, 10));
  const minutes = new Map(items.map((one) => [`${one.period} ${one.account}`, one.minutes]));
  const most = Math.max(...periods.map((period) => accounts.reduce((sum, one) => sum + (minutes.get(`${period} ${one}`) ?? 0), 0)), 1);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": t("usage.chart", { days }) });
  const step = width / days;
  for (const line of [0.5, 1]) drawn.append(svg("line", { x1: 0, x2: width, y1: height * (1 - line) + 1, y2: height * (1 - line) + 1, class: "grid" }));
  periods.forEach((period, place) => {
    let below = 0;
    accounts.forEach((account, series) => {
      const part = ((minutes.get(`${period} ${account}`) ?? 0) / most) * height;
      if (part <= 0) return;
      const box = { x: place * step + step * 0.12, width: step * 0.76, y: height - below - part, height: part };
      const bar = svg("rect", { ...box, "data-series": Math.min(series, SERIES_MAX - 1) });
      const title = svg("title", {});
      title.textContent = `${day(period)} · ${account} · ${t("usage.minutes_of", { minutes: decimal(minutes.get(`${period} ${account}`), 1) })}`;
      bar.append(title);
      drawn.append(bar);
      below += part;
    });
  });
  const named = accounts.map((account, series) => h("li", {}, h("span", { class: "swatch", "data-series": String(Math.min(series, SERIES_MAX - 1)) }), account));
  return h(
    "figure",
    { class: "card stack" },
    h("figcaption", { class: "row spread" }, h("h2", {}, t("usage.by_day")), h("ul", { class: "legend small soft" }, named)),
    h("div", { class: "chart-frame" }, h("div", { class: "chart-scale small soft number", "aria-hidden": "true" }, h("span", {}, decimal(most)), h("span", {}, decimal(most / 2)), h("span", {}, "0")), drawn),
    h("div", { class: "row spread small soft", "aria-hidden": "true" }, h("span", {}, day(periods[0])), h("span", {}, day(periods.at(-1)))),
  );
}

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function numbers(items) {
  const columns = [
    { title: t("usage.day"), cell: (one) => day(one.period), kind: "keep" },
    { title: t("account"), cell: (one) => one.account },
    { title: t("recordings.title"), cell: (one) => decimal(one.recordings), end: true },
    { title: t("usage.minutes"), cell: (one) => decimal(one.minutes, 1), end: true },
    { title: t("recording.size"), cell: (one) => bytes(one.bytes), end: true },
  ];
  const newest = [...items].sort((one, other) => (one.period < other.period ? 1 : one.period > other.period ? -1 : 0));
  return table(t("usage.title"), columns, newest);
}
