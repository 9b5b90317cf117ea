/** Recording options of an account or a template: each value with where it comes from. */

import { call, send } from "../api.js";
import { h, icon } from "../dom.js";
import { has, t } from "../language.js";
import { action, badge, checkbox, field, fill, notice, pageHead, select, toast, words } from "../parts.js";

const SCOPES = ["account", "template"];
const GROUPS = [
  ["options.when", ["enabled", "triggering_mode", "triggering_sources", "starts_with", "allow_manual", "allow_stop", "start_mode", "failover_mode", "after_interruption", "max_retries", "max_retry_delay_s", "initialization_timeout_s"]],
  ["options.what", ["type", "cobrowse", "cobrowse_pin_starts"]],
  ["options.people", ["banner", "banner_text", "consent", "visible_to"]],
  ["options.files", ["filename_pattern"]],
  ["options.file_transfer", ["files.agents", "files.customers"]],
  ["options.snapshots", ["snapshots.allow"]],
  ["options.backgrounds", ["backgrounds.offered", "backgrounds.show_for_agents"]],
];
const PREVIEW_AFTER_MS = 300;

export function show(place, { query, go, signal, signedIn }) {
  const scope = SCOPES.includes(query.get("scope")) ? query.get("scope") : "account";
  const account = signedIn.account ?? query.get("account") ?? "default";
  const template = query.get("template") ?? "";
  const body = h("div", { class: "stack" });
  place.append(pageHead(t("options.title"), t("options.note")), chooser({ scope, account, template, own: signedIn.account }, go), body);
  if (scope === "template" && !template) body.append(notice("", t("options.name_template")));
  else fill(body, () => form({ scope, account, template }, signal), signal);
}

function chooser({ scope, account, template, own }, go) {
  const chosen = { scope, account, template };
  const scopes = select(SCOPES.map((one) => [one, t(`scope.${one}`)]), { ".chosen": scope });
  const text = (name) => (tied) => h("input", { name, value: chosen[name], maxlength: "128", pattern: "[A-Za-z0-9_\\-]{1,128}", disabled: name === "account" && own !== null, required: true, ...tied });
  const made = h(
    "form",
    { class: "search" },
    field(t("options.scope"), (tied) => Object.assign(scopes, { id: tied.id })),
    field(t("account"), text("account")),
    scope === "template" ? field(t("template"), text("template")) : null,
    h("button", { class: "button" }, t("options.show")),
  );
  const address = () => {
    const values = { account: made.elements.account.value, template: made.elements.template?.value ?? "" };
    const given = Object.entries({ scope: scopes.value, ...values }).filter(([, value]) => value);
    go(`/console/options?${new URLSearchParams(given)}`);
  };
  scopes.addEventListener("change", address);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    address();
  });
  return made;
}

// --- the form ----------------------------------------------------------------------------------------------
async function form({ scope, account, template }, signal) {
  const owner = scope === "account" ? account : template;
  const path = `/v1/${scope}s/${encodeURIComponent(owner)}/settings`;
  const whose = scope === "template" ? { account } : {};
  const [{ items: definitions }, response] = await Promise.all([
    call("GET", "/v1/settings/definitions", { signal }),
    send("GET", path, { query: { effective: true, ...whose }, signal }),
  ]);
  const settings = await response.json();
  const state = { own: { ...settings.values }, effective: settings.effective, tag: response.headers.get("ETag"), scope };
  const byName = new Map(definitions.map((one) => [one.key.replace("recording.", ""), one]));
  const problem = h("div", {});
  const rows = [];
  const grouped = GROUPS.flatMap(([, names]) => names);
  const more = ["options.more", [...byName.keys()].filter((name) => !grouped.includes(name))];
  const sections = [...GROUPS, more].map(([title, names]) => {
    const known = names.filter((name) => byName.has(name));
    if (known.length === 0) return null;
    const some = known.map((name) => row(name, byName.get(name), state, signal));
    rows.push(...some);
    return h("section", { class: "card" }, h("h2", {}, t(title)), h("div", { class: "options" }, some));
  });
  const save = action(t("options.save"), () => put(path, whose, state, problem), { kind: "primary" });
  return [problem, ...sections.filter(Boolean), notice("", t("options.of_server")), h("div", { class: "row save-bar" }, save, h("p", { class: "hint" }, t("options.when_counts")))];
}

async function put(path, query, state, problem) {
  problem.replaceChildren();
  try {
    const response = await send("PUT", path, { body: { values: state.own }, query, headers: { "If-Match": state.tag } });
    state.tag = response.headers.get("ETag");
    toast(t("options.saved"));
    window.dispatchEvent(new PopStateEvent("popstate")); // shown anew, with where everything comes from now
  } catch (error) {
    problem.replaceChildren(notice("alert", error.code === "settings_changed" ? t("options.changed") : words(error)));
    problem.scrollIntoView({ block: "center" });
  }
}

function row(name, definition, state, signal) {
  const { key, schema, scopes, locked } = definition;
  const may = scopes.includes(state.scope) && !locked;
  const made = h("div", { class: "option" });
  const draw = () => {
    const own = key in state.own;
    const effective = state.effective[key];
    const value = own ? state.own[key] : effective.value;
    const change = (given) => {
      state.own[key] = given;
      if (!own) draw();
    };
    const label = has(`setting.${name}`) ? t(`setting.${name}`) : name;
    const inherit = own && may ? h("button", { type: "button", class: "button quiet compact", onclick: () => inherited() }, t("options.inherit")) : null;
    const control = controlOf({ name, label, schema, value, change, disabled: !may, signal });
    made.replaceChildren(
      h("div", { class: "stack tight" }, h("strong", {}, label), h("p", { class: "soft small" }, has(`setting_hint.${name}`) ? t(`setting_hint.${name}`) : definition.description)),
      h("div", { class: "stack tight" }, control),
      h("div", { class: "stack tight provenance" }, origin(own, effective, state, locked), inherit),
    );
  };
  const inherited = () => {
    delete state.own[key];
    if (state.effective[key].scope === state.scope) state.effective[key] = { value: definition.default, scope: "unsaved" };
    draw();
    made.querySelector("input, select")?.focus();
  };
  draw();
  return made;
}

function origin(own, effective, state, locked) {
  if (locked) return badge(t("origin.locked"), "warning");
  if (own) return badge(t(`origin.own_${state.scope}`), "accent");
  return badge(t(`origin.${effective.scope}`));
}

/** The control that fits the schema of a value; it calls `change` with what is valid JSON for it. */
function controlOf({ name, label, schema, value, change, disabled, signal }) {
  if (schema.type === "boolean") {
    return checkbox(value ? t("on") : t("off"), { role: "switch", "aria-label": label, checked: value, disabled, onchange: (event) => toggled(event, change) });
  }
  if (schema.enum) {
    const made = select(schema.enum.map((one) => [one, valueName(one)]), { "aria-label": label, ".chosen": value, disabled });
    made.addEventListener("change", () => change(made.value));
    return made;
  }
  if (schema.type === "array") return choices(label, schema.items.enum, value, change, disabled);
  if (name === "filename_pattern") return pattern(label, value, change, disabled, signal);
  if (schema.type === "string") return text(label, value, schema, change, disabled);
  return number(label, value, schema, change, disabled);
}

function toggled(event, change) {
  event.target.nextElementSibling.textContent = event.target.checked ? t("on") : t("off");
  change(event.target.checked);
}

function choices(label, all, value, change, disabled) {
  const chosen = new Set(value);
  const boxes = all.map((one) =>
    checkbox(valueName(one), {
      checked: chosen.has(one),
      disabled,
      onchange: (event) => {
        if (event.target.checked) chosen.add(one);
        else chosen.delete(one);
        change(all.filter((each) => chosen.has(each)));
      },
    }),
  );
  return h("fieldset", {}, h("legend", { class: "hidden-text" }, label), boxes);
}

function text(label, value, schema, change, disabled) {
  const made = h("input", { "aria-label": label, value, minlength: "1", maxlength: String(schema.maxLength ?? 256), disabled });
  made.addEventListener("change", () => made.value && change(made.value));
  return made;
}

function number(label, value, schema, change, disabled) {
  const whole = schema.type === "integer";
  const bounds = { min: schema.minimum ?? schema.exclusiveMinimum ?? null, max: schema.maximum ?? null, step: whole ? "1" : "any" };
  const made = h("input", { type: "number", "aria-label": label, value: String(value), ...bounds, disabled });
  made.addEventListener("change", () => made.validity.valid && made.value !== "" && change(Number(made.value)));
  return made;
}

/** The pattern, and what it makes of an example. */
function pattern(label, value, change, disabled, signal) {
  const shown = h("output", { class: "small" });
  const made = text(label, value, { maxLength: 256 }, change, disabled);
  let timer = null;
  const preview = async () => {
    try {
      const { filename } = await call("GET", "/v1/settings/filename-preview", { query: { pattern: made.value }, signal });
      shown.replaceChildren(icon("video"), " ", h("span", {}, filename));
      made.removeAttribute("aria-invalid");
    } catch (error) {
      if (error.name === "AbortError") return;
      shown.replaceChildren(h("span", { class: "problem" }, error.message ?? words(error)));
      made.setAttribute("aria-invalid", "true");
    }
  };
  made.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, PREVIEW_AFTER_MS);
  });
  preview();
  return h("div", { class: "stack tight" }, made, shown);
}

function valueName(value) {
  if (has(`value.${value}`)) return t(`value.${value}`);
  return has(`role.${value}`) ? t(`role.${value}`) : String(value);
}
