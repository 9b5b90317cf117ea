/** Webhooks: where events go, whether that works, a test, and what was delivered. */

import { all, call } from "../api.js";
import { h } from "../dom.js";
import { count, dateTime, decimal, t } from "../language.js";
import { action, badge, checkbox, confirmed, empty, field, fill, notice, openDialog, pageHead, table, toast, words } from "../parts.js";

const EVENTS = ["recording.started", "recording.paused", "recording.resumed", "recording.available", "recording.failed", "file.available", "file.refused", "snapshot.available", "snapshot.refused", "interaction.hold", "interaction.release", "interaction.abort"];
const TONES = { DELIVERED: "good", PENDING: "accent", GIVEN_UP: "alert" };
const PAGE_ITEMS = 25;

export function show(place, { signal, signedIn }) {
  const list = h("div", { class: "stack" });
  const load = () => fill(list, () => content(load, signal), signal);
  const make = h("button", { type: "button", class: "button primary", onclick: () => creating(load, signedIn) }, t("webhooks.create"));
  place.append(pageHead(t("webhooks.title"), t("webhooks.note"), make), list);
  load();
}

async function content(load, signal) {
  const found = await all("/v1/webhooks", { signal });
  if (found.length === 0) return empty(t("webhooks.none"), t("webhooks.none_text"), "webhooks");
  return found.map((webhook) => card(webhook, load, signal));
}

function card(webhook, load, signal) {
  const { id, url, events, account, description } = webhook;
  const told = h("div", { role: "status" });
  return h(
    "article",
    { class: "card stack" },
    h("div", { class: "row spread" }, h("h2", {}, description ?? url), state(webhook)),
    h("p", {}, h("code", {}, url)),
    h("p", { class: "soft small" }, events.length ? events.map((one) => t(`event.${one}`)).join(", ") : t("webhooks.all_events"), " · ", account ?? t("account.all")),
    told,
    h(
      "div",
      { class: "row" },
      action(t("webhooks.test"), () => tried(id, told)),
      h("button", { type: "button", class: "button", onclick: () => deliveries(webhook, signal) }, t("webhooks.deliveries")),
      action(webhook.disabled_at ? t("webhooks.enable") : t("webhooks.disable"), () => switched(webhook, load)),
      action(t("webhooks.rotate"), () => rotated(id)),
      action(t("delete"), () => removed(id, load), { kind: "danger" }),
    ),
  );
}

function state({ disabled_at: disabled, failing_since: failing }) {
  if (disabled) return badge(t("webhooks.disabled"), "alert");
  return failing ? badge(t("webhooks.failing", { time: dateTime(failing) }), "warning") : badge(t("webhooks.working"), "good");
}

async function tried(id, told) {
  const { ok, status, failure, seconds } = await call("POST", `/v1/webhooks/${id}/test`);
  const how = t("webhooks.answered", { status: status ?? failure ?? "–", seconds: decimal(seconds, 2) });
  told.replaceChildren(notice(ok ? "good" : "alert", ok ? t("webhooks.test_ok") : t("webhooks.test_bad"), " ", how));
}

async function switched({ id, disabled_at: disabled }, load) {
  await call("PATCH", `/v1/webhooks/${id}`, { body: { enabled: Boolean(disabled) } });
  load();
}

async function rotated(id) {
  if (!(await confirmed(t("webhooks.rotate_question"), t("webhooks.rotate")))) return;
  const { secret } = await call("POST", `/v1/webhooks/${id}/secret`);
  tell(t("webhooks.secret"), secret);
}

async function removed(id, load) {
  if (!(await confirmed(t("webhooks.delete_question"), t("delete")))) return;
  await call("DELETE", `/v1/webhooks/${id}`);
  load();
}

/** A secret, this once. */
export function tell(title, secret) {
  const shown = h("input", { readonly: true, value: secret, "aria-label": title, class: "mono" });
  const copy = async () => {
    shown.select();
    try {
      await navigator.clipboard.writeText(secret);
      toast(t("copied"));
    } catch {
      toast(t("copy_by_hand")); // without https there is no clipboard; the text is selected
    }
  };
  openDialog("box", title, [notice("warning", t("secret.once")), shown, h("div", { class: "row" }, h("button", { type: "button", class: "button primary", onclick: copy }, t("copy")))]);
}

// --- deliveries --------------------------------------------------------------------------------------------
function deliveries({ id, description, url }, signal) {
  const list = h("div", { class: "stack" });
  openDialog("fly-in", t("webhooks.deliveries_of", { name: description ?? url }), list);
  const page = (after) => fill(list, () => log(id, after, page, signal), signal);
  page(null);
}

async function log(id, after, page, signal) {
  const { items, next_after } = await call("GET", `/v1/webhooks/${id}/deliveries`, { query: { order: "newest_first", limit: PAGE_ITEMS, after }, signal });
  if (items.length === 0) return empty(t("webhooks.no_deliveries"), t("webhooks.no_deliveries_text"), "webhooks");
  const columns = [
    { title: t("webhooks.event"), cell: (one) => h("span", { class: "stack tight" }, t(`event.${one.type}`), h("span", { class: "soft small" }, dateTime(one.occurred_at))) },
    { title: t("history.state"), cell: (one) => badge(t(`delivery.${one.state}`), TONES[one.state]) },
    { title: t("webhooks.answer"), cell: (one) => [count("attempts", one.attempts), h("span", { class: "soft small" }, ` ${[one.last_status, one.last_failure].filter(Boolean).join(" ")}`)] },
  ];
  const older = next_after ? h("button", { type: "button", class: "button", onclick: () => page(next_after) }, t("webhooks.older")) : null;
  return [table(t("webhooks.deliveries"), columns, items), older].filter(Boolean);
}

// --- a new one ---------------------------------------------------------------------------------------------
function creating(load, signedIn) {
  const problem = h("p", { class: "problem", role: "alert" });
  const chosen = new Set();
  const events = EVENTS.map((one) => checkbox(t(`event.${one}`), { onchange: (event) => (event.target.checked ? chosen.add(one) : chosen.delete(one)) }));
  const form = h(
    "form",
    { class: "stack" },
    field(t("webhooks.url"), (tied) => h("input", { name: "url", type: "url", required: true, maxlength: "2048", placeholder: "https://", ...tied }), { hint: t("webhooks.url_hint") }),
    field(t("webhooks.description"), (tied) => h("input", { name: "description", maxlength: "256", ...tied })),
    signedIn.account === null ? field(t("account"), (tied) => h("input", { name: "account", maxlength: "128", placeholder: t("account.all"), ...tied })) : null,
    h("fieldset", {}, h("legend", {}, t("webhooks.events")), events, h("p", { class: "hint" }, t("webhooks.events_hint"))),
    problem,
    h("button", { class: "button primary" }, t("webhooks.create")),
  );
  const dialog = openDialog("box", t("webhooks.create"), form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { url, description, account } = form.elements;
    const body = { url: url.value, events: [...chosen], description: description.value || null, account: account?.value || null };
    try {
      const made = await call("POST", "/v1/webhooks", { body });
      dialog.close();
      tell(t("webhooks.secret"), made.secret);
      load();
    } catch (error) {
      problem.textContent = words(error);
    }
  });
}

