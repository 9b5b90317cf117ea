/** The page around the pictures: phases, buttons, notes. No state of its own beyond what is on the screen. */

const TOAST_MS = 6_000;

export const byId = (id) => document.getElementById(id);

/** "lobby", "call" or "farewell": the style sheet shows what belongs to it. */
export function phase(name) {
  document.body.dataset.phase = name;
  byId("farewell").hidden = name !== "farewell";
  byId("lobby").hidden = name !== "lobby";
}

/** Call `handlers[action]` for every button with this data-action, wherever it stands. */
export function onActions(handlers) {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-action]");
    if (button && button.dataset.action in handlers) handlers[button.dataset.action](button);
  });
  const keys = { d: "microphone", e: "camera" };
  document.addEventListener("keydown", (event) => {
    const action = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey ? keys[event.key.toLowerCase()] : null;
    if (!action) return;
    event.preventDefault();
    handlers[action]();
  });
}

/** Show whether a switch is on, on all of its buttons. */
export function pressed(action, on, words) {
  for (const button of document.querySelectorAll(`[data-action=${action}]`)) {
    button.setAttribute("aria-pressed", on);
    const label = on ? words.on : words.off;
    button.setAttribute("aria-label", label);
    const keys = button.getAttribute("aria-keyshortcuts");
    button.title = keys ? `${label} (${keys.replace("Control", "Ctrl")})` : label;
  }
}

/** A note that goes by itself; `extra` may be a button. */
export function toast(text, { kind = "info", extra = null } = {}) {
  const note = document.createElement("p");
  note.className = `toast ${kind}`;
  note.append(text);
  if (extra) note.append(extra);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), TOAST_MS);
}

/** A device problem: in the lobby it stays, in the call it passes. */
export function problem(text) {
  if (document.body.dataset.phase !== "lobby") {
    toast(text, { kind: "warning" });
    return;
  }
  const item = document.createElement("li");
  item.textContent = text;
  byId("problems").append(item);
}

/** A conversation that has ended, to read. */
export function showPast(title, hasSomething) {
  document.title = title;
  byId("panel-title").textContent = "This conversation has ended";
  byId("panel").hidden = false;
  byId("panel").dataset.empty = !hasSomething;
  byId("say").hidden = true;
  phase("past");
}

export function farewell(title, text) {
  byId("farewell-title").textContent = title;
  byId("farewell-text").textContent = text;
  byId("farewell-text").hidden = !text;
  phase("farewell");
  byId("again").focus();
}
