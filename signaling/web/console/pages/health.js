/** Whether this server can do its work, and how much of the machine is left. */

import { call } from "../api.js";
import { at } from "../base.js";
import { h } from "../dom.js";
import { bytes, decimal, has, t } from "../language.js";
import { badge, fill, pageHead } from "../parts.js";

const LOOK_EVERY_MS = 5000;

export function show(place, { signal }) {
  const body = h("div", { class: "stack" });
  place.append(pageHead(t("health.title"), t("health.note")), body);
  fill(body, () => content(signal), signal);
  const timer = setInterval(async () => {
    try {
      body.replaceChildren(...(await content(signal)));
    } catch {
      // what was seen last stays; the next look may work
    }
  }, LOOK_EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

async function content(signal) {
  const [ready, capacity] = await Promise.all([readiness(signal), call("GET", "/v1/capacity", { signal })]);
  return [dependencies(ready), tiles(capacity)];
}

/** Not ready is an answer, not an error. */
async function readiness(signal) {
  const response = await fetch(at("/readyz"), { signal });
  return response.json();
}

function dependencies({ ready, dependencies: each }) {
  const lines = Object.entries(each).map(([name, ok]) =>
    h(
      "li",
      { class: "row spread" },
      h("span", { class: "stack tight" }, h("strong", {}, named(name)), ok ? null : h("span", { class: "soft small" }, advice(name))),
      badge(ok ? t("health.ok") : t("health.bad"), ok ? "good" : "alert"),
    ),
  );
  return h(
    "section",
    { class: "card" },
    h("div", { class: "row spread" }, h("h2", {}, t("health.ready")), badge(ready ? t("health.takes") : t("health.takes_not"), ready ? "good" : "alert")),
    h("ul", { class: "lines" }, lines),
  );
}

function named(name) {
  return has(`dependency.${name}`) ? t(`dependency.${name}`) : name;
}

function advice(name) {
  return has(`advice.${name}`) ? t(`advice.${name}`) : "";
}

function tiles(now) {
  const used = now.memory_bytes - now.memory_available_bytes;
  return h(
    "section",
    { class: "stack" },
    h("h2", {}, t("health.capacity")),
    h(
      "div",
      { class: "tiles" },
      tile(t("health.recordings"), decimal(now.recordings), t("health.of", { most: decimal(now.recordings_max) }), now.recordings / now.recordings_max),
      tile(t("health.load"), `${decimal(100 * now.load_per_core)} %`, t("health.cores", { cores: decimal(now.cores) }), now.load_per_core),
      tile(t("health.memory"), bytes(used), t("health.of", { most: bytes(now.memory_bytes) }), used / now.memory_bytes),
      tile(t("health.disk"), bytes(now.disk_free_bytes), t("health.free_of", { most: bytes(now.disk_bytes) }), 1 - now.disk_free_bytes / now.disk_bytes),
      tile(t("health.waiting"), decimal(now.uploads_waiting), t("health.waiting_text"), now.uploads_waiting ? 1 : 0),
    ),
  );
}

function tile(name, value, note, share) {
  const tone = share > 0.9 ? "alert" : share > 0.75 ? "warning" : "good";
  const filled = h("span", { class: "meter-fill", "data-tone": tone });
  filled.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return h("div", { class: "tile" }, h("p", { class: "soft small" }, name), h("p", { class: "value" }, value), h("p", { class: "soft small" }, note), h("div", { class: "meter", "aria-hidden": "true" }, filled));
}
