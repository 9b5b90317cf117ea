/** Pieces that every page uses: heads, badges, fields, tables, states of waiting and failing, dialogs. */

import { Refusal, Unreachable } from "./api.js";
import { freshId, h, icon } from "./dom.js";
import { has, t } from "./language.js";

const TOAST_MS = 5000;

export function pageHead(title, note, ...actions) {
  return h(
    "div",
    { class: "page-head row spread" },
    h("div", { class: "stack tight" }, h("h1", { tabindex: "-1" }, title), note ? h("p", { class: "soft" }, note) : null),
    actions.length ? h("div", { class: "row" }, actions) : null,
  );
}

export function badge(text, tone = "") {
  return h("span", { class: "badge", "data-tone": tone }, text);
}

const RECORDING_TONES = { AVAILABLE: "good", FAILED: "alert", RECORDING: "accent", PAUSED: "warning", INTERRUPTED: "warning", FINALIZING: "accent" };

export function recordingBadge(state) {
  return badge(t(`recording.${state}`), RECORDING_TONES[state] ?? "");
}

export function facts(entries) {
  const shown = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A label over its field, with a hint below; `make` is called with the attributes that tie them together. */
export function field(label, make, { hint } = {}) {
  const id = freshId("field");
  const hintId = hint ? `${id}-hint` : null;
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    make({ id, "aria-describedby": hintId }),
    hint ? h("p", { class: "hint", id: hintId }, hint) : null,
  );
}

export function checkbox(label, attributes = {}) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", ...attributes }), h("span", {}, label));
}

export function select(options, attributes = {}) {
  return h(
    "select",
    attributes,
    options.map(([value, text]) => h("option", { value, selected: value === attributes[".chosen"] }, text)),
  );
}

/** `columns`: {title, cell(item), end?, kind?: "keep" in one line, "free" texts of people}; on a narrow screen each row folds into a list of its cells. */
export function table(caption, columns, items, { row = () => ({}) } = {}) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.end ? "end" : null }, column.title));
  return h(
    "div",
    { class: "table-frame" },
    h(
      "table",
      { class: "folding" },
      h("caption", { class: "hidden-text" }, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, items.map((item) => h("tr", row(item), columns.map((column) => cell(column, item))))),
    ),
  );
}

function cell(column, item) {
  const content = column.cell(item);
  return h("td", { "data-label": column.title, class: column.end ? "end number" : (column.kind ?? null) }, h("span", {}, content));
}

// --- waiting, nothing there, gone wrong --------------------------------------------------------------------
export function loading() {
  const lines = Array.from({ length: 6 }, () => h("span", {}));
  return h("div", { class: "skeleton", role: "status" }, h("p", { class: "hidden-text" }, t("loading")), lines);
}

export function empty(title, text, iconName = "search", ...actions) {
  return h("div", { class: "state" }, icon(iconName), h("strong", {}, title), text ? h("p", {}, text) : null, actions);
}

export function failed(error, again) {
  return h(
    "div",
    { class: "state", "data-tone": "alert", role: "alert" },
    icon("warning"),
    h("strong", {}, t("failed.title")),
    h("p", {}, words(error)),
    again ? h("button", { type: "button", class: "button", onclick: again }, t("again")) : null,
  );
}

const NOTICE_ICONS = { good: "good", "": "wait" };

export function notice(tone, ...content) {
  const role = tone === "alert" ? "alert" : null;
  return h("div", { class: "notice", "data-tone": tone, role }, icon(NOTICE_ICONS[tone] ?? "warning"), h("div", {}, content));
}

/** What went wrong, for people. */
export function words(error) {
  if (error instanceof Unreachable) return t("error.unreachable");
  if (!(error instanceof Refusal)) return t("error.defect", { detail: String(error) });
  return has(`error.${error.code}`) ? t(`error.${error.code}`) : error.message;
}

/** Fill `place` with what `make` promises: waiting meanwhile, words where it fails. Nothing once it was left. */
export async function fill(place, make, signal) {
  const waiting = loading();
  place.replaceChildren(waiting);
  place.setAttribute("aria-busy", "true");
  try {
    const made = await make();
    if (!signal?.aborted) place.replaceChildren(...[made].flat());
  } catch (error) {
    if (signal?.aborted || error.name === "AbortError") return;
    place.replaceChildren(failed(error, () => fill(place, make, signal)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

export function toast(text) {
  const shown = h("p", { class: "toast" }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

/** A button that runs `work` once at a time, and says in words what did not work. */
export function action(label, work, { kind = "", iconName, ...attributes } = {}) {
  const made = h("button", { type: "button", class: `button ${kind}`, ...attributes }, iconName ? icon(iconName) : null, label);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await work();
    } catch (error) {
      toast(words(error));
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

// --- dialogs -----------------------------------------------------------------------------------------------
/** A modal dialog; it is removed when it closes, and the focus goes back to where it was. */
export function openDialog(className, title, content, { onclose } = {}) {
  const id = freshId("dialog");
  const shut = h("button", { type: "button", class: "button quiet icon-only", "aria-label": t("close") }, icon("close"));
  const made = h(
    "dialog",
    { class: className, "aria-labelledby": id },
    h("div", { class: "fly-head" }, h("h2", { id }, title), shut),
    h("div", { class: "fly-body" }, content),
  );
  shut.addEventListener("click", () => made.close());
  made.addEventListener("click", (event) => event.target === made && made.close()); // beside it
  made.addEventListener("close", () => {
    made.remove();
    onclose?.();
  });
  document.body.append(made);
  made.showModal();
  return made;
}

/** Ask before something that cannot be taken back. */
export function confirmed(question, label) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = h("button", { type: "button", class: "button danger" }, label);
    const dialog = openDialog("box", t("confirm.title"), [h("p", {}, question), h("div", { class: "row" }, yes)], {
      onclose: () => resolve(answer),
    });
    yes.addEventListener("click", () => {
      answer = true;
      dialog.close();
    });
  });
}
