/** Where recordings go: the provider's fields with their meaning, and the test, step by step. */

import { call, send } from "../api.js";
import { h, icon } from "../dom.js";
import { dateTime, decimal, has, t } from "../language.js";
import { badge, fill, notice, pageHead, table, words } from "../parts.js";

export function show(place, { signal }) {
  const body = h("div", { class: "stack" });
  place.append(pageHead(t("storage.title"), t("storage.note")), body);
  fill(body, async () => content(await call("GET", "/v1/storage", { signal }), signal), signal);
}

/** The steps of a test stay until the next one: only the verdict above them is asked for anew. */
function content(overview, signal) {
  const found = h("div", {}, verdict(overview));
  const again = async () => found.replaceChildren(verdict(await call("GET", "/v1/storage", { signal })));
  return [
    found,
    testing(again, signal),
    h("section", { class: "stack" }, h("h2", {}, t(`provider.${overview.provider}`)), fields(overview), h("p", { class: "hint" }, t("storage.how"))),
  ];
}

function verdict({ last_test: last, disabled }) {
  if (last === null) return notice("warning", h("strong", {}, t("storage.untested")), h("p", {}, t("storage.untested_text")));
  const when = t("storage.tested", { time: dateTime(last.tested_at) });
  if (last.ok) return notice("good", h("strong", {}, t("storage.passed")), h("p", {}, when));
  return notice(
    "alert",
    h("strong", {}, t("storage.failed")),
    h("p", {}, t("storage.failed_text", { step: stepName(last.failed_at), reason: last.reason ?? "" })),
    h("p", {}, t("storage.disabled")),
    h("ul", { class: "bullets" }, disabled.map((one) => h("li", {}, t(`disabled.${one}`)))),
    h("p", { class: "small" }, when),
  );
}

// --- the test ----------------------------------------------------------------------------------------------
function testing(again, signal) {
  const steps = h("ol", { class: "steps" });
  const said = h("div", { role: "status" });
  const button = h("button", { type: "button", class: "button primary" }, icon("health"), t("storage.test"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    steps.replaceChildren(running());
    said.replaceChildren();
    try {
      await run(steps, signal);
      await again();
    } catch (error) {
      if (error.name !== "AbortError") said.replaceChildren(notice("alert", words(error)));
    } finally {
      steps.querySelector("[data-running]")?.remove();
      button.disabled = false;
    }
  });
  return h("section", { class: "card stack" }, h("div", { class: "row spread" }, h("h2", {}, t("storage.test_title")), button), h("p", { class: "soft" }, t("storage.test_text")), steps, said);
}

async function run(steps, signal) {
  const response = await send("POST", "/v1/storage/test/steps", { headers: { Accept: "text/event-stream" }, signal });
  for await (const { name, data } of serverSentEvents(response)) {
    if (name === "step") steps.lastElementChild.before(step(data));
  }
  steps.querySelector("[data-running]")?.remove();
}

async function* serverSentEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const one of events) {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(one) ?? [];
      if (name) yield { name, data: JSON.parse(data) };
    }
  }
}

function step({ name, ok, warning, seconds, detail }) {
  const tone = !ok ? "alert" : warning ? "warning" : "good";
  return h(
    "li",
    { class: "step", "data-tone": tone },
    icon(ok && !warning ? "good" : "warning"),
    h("span", { class: "step-name" }, stepName(name)),
    h("span", { class: "soft step-detail" }, detail),
    h("span", { class: "number soft" }, t("seconds", { seconds: decimal(seconds, seconds < 1 ? 3 : 1) })),
  );
}

function running() {
  return h("li", { class: "step", "data-running": true }, icon("wait"), h("span", { class: "soft" }, t("storage.running")));
}

function stepName(name) {
  return has(`step.${name}`) ? t(`step.${name}`) : name;
}

// --- the fields --------------------------------------------------------------------------------------------
function fields({ fields: known }) {
  const columns = [
    { title: t("storage.field"), cell: meaning },
    { title: t("storage.value"), cell: value },
    { title: t("storage.key"), cell: ({ key }) => h("code", {}, key) },
  ];
  return table(t("storage.title"), columns, known);
}

function meaning({ key }) {
  const name = key.replace("storage.", "");
  return h("span", { class: "stack tight" }, h("strong", {}, t(`store.${name}`)), h("span", { class: "soft small" }, t(`store_hint.${name}`)));
}

function value({ value: shown, is_set, secret }) {
  if (secret) return is_set ? badge(t("storage.secret_set"), "good") : h("span", { class: "soft" }, t("storage.not_set"));
  return is_set ? h("code", {}, shown) : h("span", { class: "soft" }, t("storage.not_set"));
}
