/** API keys: made with scopes, rotated, revoked; a secret is told once. */

import { all, call } from "../api.js";
import { h } from "../dom.js";
import { dateTime, t } from "../language.js";
import { action, badge, checkbox, confirmed, empty, field, fill, openDialog, pageHead, table, words } from "../parts.js";
import { tell } from "./webhooks.js";

const SCOPES = ["conversations:read", "conversations:write", "recordings:read", "recordings:write", "settings", "webhooks", "usage", "audit", "admin"];

export function show(place, { signal, signedIn }) {
  const list = h("div", {});
  const load = () => fill(list, () => content(load, signal), signal);
  const make = h("button", { type: "button", class: "button primary", onclick: () => creating(load, signedIn) }, t("keys.create"));
  place.append(pageHead(t("keys.title"), t("keys.note"), make), list);
  load();
}

async function content(load, signal) {
  const found = (await all("/v1/keys", { signal })).reverse();
  if (found.length === 0) return empty(t("keys.none"), t("keys.none_text"), "keys");
  const columns = [
    { title: t("keys.name"), cell: (one) => h("strong", {}, one.name), kind: "free" },
    { title: t("account"), cell: (one) => one.account ?? t("account.all") },
    { title: t("keys.scopes"), cell: (one) => one.scopes.map(scopeName).join(", ") },
    { title: t("keys.created"), cell: (one) => dateTime(one.created_at), kind: "keep" },
    { title: t("history.state"), cell: state },
    { title: t("actions"), cell: (one) => actions(one, load), kind: "keep" },
  ];
  return table(t("keys.title"), columns, found);
}

function state({ revoked_at: revoked, expires_at: expires }) {
  if (revoked) return badge(t("keys.revoked"));
  if (expires && new Date(expires) <= new Date()) return badge(t("keys.expired"), "warning");
  return badge(expires ? t("keys.until", { time: dateTime(expires) }) : t("keys.good"), "good");
}

function actions({ id, name, revoked_at: revoked }, load) {
  if (revoked) return "–";
  const rotate = async () => {
    if (!(await confirmed(t("keys.rotate_question", { name }), t("keys.rotate")))) return;
    tell(t("keys.secret"), (await call("POST", `/v1/keys/${id}/rotate`, { body: {} })).secret);
    load();
  };
  const revoke = async () => {
    if (!(await confirmed(t("keys.revoke_question", { name }), t("keys.revoke")))) return;
    await call("DELETE", `/v1/keys/${id}`);
    load();
  };
  return h("span", { class: "row tight" }, action(t("keys.rotate"), rotate, { kind: "compact" }), action(t("keys.revoke"), revoke, { kind: "danger compact" }));
}

function scopeName(scope) {
  return t(`key_scope.${scope.replace(":", "_")}`);
}

function creating(load, signedIn) {
  const problem = h("p", { class: "problem", role: "alert" });
  const chosen = new Set();
  const scopes = SCOPES.map((one) => checkbox(scopeName(one), { onchange: (event) => (event.target.checked ? chosen.add(one) : chosen.delete(one)) }));
  const form = h(
    "form",
    { class: "stack" },
    field(t("keys.name"), (tied) => h("input", { name: "name", required: true, maxlength: "256", ...tied })),
    signedIn.account === null ? field(t("account"), (tied) => h("input", { name: "account", maxlength: "128", placeholder: t("account.all"), ...tied })) : null,
    field(t("keys.expires"), (tied) => h("input", { name: "expires", type: "date", ...tied }), { hint: t("keys.expires_hint") }),
    h("fieldset", {}, h("legend", {}, t("keys.scopes")), scopes),
    problem,
    h("button", { class: "button primary" }, t("keys.create")),
  );
  const dialog = openDialog("box", t("keys.create"), form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (chosen.size === 0) {
      problem.textContent = t("keys.scopes_missing");
      return;
    }
    const { name, account, expires } = form.elements;
    const until = expires.value ? new Date(`${expires.value}T23:59:59`).toISOString() : null;
    try {
      const made = await call("POST", "/v1/keys", { body: { name: name.value, scopes: [...chosen], account: account?.value || null, expires_at: until } });
      dialog.close();
      tell(t("keys.secret"), made.secret);
      load();
    } catch (error) {
      problem.textContent = words(error);
    }
  });
}
