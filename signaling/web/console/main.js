/** The console's frame: who is signed in, which page is shown, and the way between pages. */

import { session } from "./api.js";
import { at, base, here } from "./base.js";
import { h, icon, link } from "./dom.js";
import { choose, language, t } from "./language.js";
import { failed } from "./parts.js";

const THEME = "bystander-console-theme";
const THEMES = ["system", "light", "dark"];

/** `needs`: the scope without which the page has nothing to show; `everywhere`: it is about all accounts. */
const PAGES = [
  { path: /^\/console\/?$/, name: "history", file: "history", needs: "conversations:read" },
  { path: /^\/console\/history$/, name: "history", file: "history", needs: "conversations:read" },
  { path: /^\/console\/conversations\/([\w-]+)$/, name: "history", file: "conversation", needs: "conversations:read" },
  { path: /^\/console\/recordings\/([\w-]+)$/, name: "history", file: "player", needs: "recordings:read" },
  { path: /^\/console\/live$/, name: "live", file: "live", needs: "recordings:read" },
  { path: /^\/console\/usage$/, name: "usage", file: "usage", needs: "usage" },
  { path: /^\/console\/options$/, name: "options", file: "options", needs: "settings" },
  { path: /^\/console\/backgrounds$/, name: "backgrounds", file: "backgrounds", needs: "settings" },
  { path: /^\/console\/storage$/, name: "storage", file: "storage", needs: "admin", everywhere: true },
  { path: /^\/console\/webhooks$/, name: "webhooks", file: "webhooks", needs: "webhooks" },
  { path: /^\/console\/keys$/, name: "keys", file: "keys", needs: "admin" },
  { path: /^\/console\/health$/, name: "health", file: "health", needs: "admin", everywhere: true },
];

const NAVIGATION = [
  ["nav.group.work", ["history", "live", "usage"]],
  ["nav.group.settings", ["options", "backgrounds", "storage", "webhooks", "keys"]],
  ["nav.group.server", ["health"]],
];

const main = document.getElementById("main");
const side = document.getElementById("side");
let signedIn = null;
let oidc = false;
let leave = new AbortController();

async function start() {
  document.documentElement.lang = language;
  showTheme(localStorage.getItem(THEME) ?? "system");
  document.getElementById("skip").textContent = t("skip");
  try {
    const state = await session.current();
    enter(state);
  } catch (error) {
    main.replaceChildren(failed(error, start));
  }
}

function enter(state) {
  signedIn = state.session;
  oidc = state.oidc ?? oidc;
  document.body.dataset.phase = signedIn ? "signed-in" : "signed-out";
  if (signedIn) side.replaceChildren(...frame());
  show();
}

// --- pages -------------------------------------------------------------------------------------------------
async function show({ focus = false } = {}) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  const module = signedIn ? await pageModule() : await import("./pages/sign_in.js");
  if (signal.aborted) return;
  const place = h("div", { class: "page" });
  main.replaceChildren(place);
  module.show(place, { signal, signedIn, oidc, go, entered: enter, ...context() });
  document.title = `${place.querySelector("h1")?.textContent ?? t("brand")} – ${t("brand")}`;
  if (focus) place.querySelector("h1")?.focus();
}

async function pageModule() {
  const found = page();
  side.querySelectorAll("nav a").forEach((one) => mark(one, found?.name));
  if (!found) return import("./pages/not_found.js");
  if (!open(found)) return import("./pages/not_allowed.js");
  return import(`./pages/${found.file}.js`);
}

function page() {
  return PAGES.find((one) => one.path.test(here()));
}

function context() {
  const parts = page()?.path.exec(here())?.slice(1) ?? [];
  return { parts, query: new URLSearchParams(location.search), may };
}

function may(scope) {
  return scope === null || (signedIn?.scopes.includes(scope) ?? false);
}

/** Whether whoever is signed in sees this page; `everywhere`: not with a key of one account. */
function open({ needs, everywhere = false }) {
  return may(needs) && !(everywhere && signedIn.account !== null);
}

function mark(anchor, name) {
  if (anchor.dataset.name === name) anchor.setAttribute("aria-current", "page");
  else anchor.removeAttribute("aria-current");
}

/** To another page; `replace` where only what is shown of this one changes. */
function go(path, { replace = false, quiet = false } = {}) {
  if (replace) history.replaceState(null, "", at(path));
  else history.pushState(null, "", at(path));
  if (!quiet) {
    scrollTo(0, 0);
    show({ focus: true });
  }
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.(`a[href^="${CSS.escape(base)}/console"]`);
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!anchor || !plain || anchor.target || anchor.dataset.leaves || anchor.hasAttribute("download")) return;
  event.preventDefault();
  side.dataset.open = "false";
  go(anchor.getAttribute("href").slice(base.length));
});
window.addEventListener("popstate", () => show());
window.addEventListener("signed-out", () => signedIn && enter({ session: null }));

// --- the frame ---------------------------------------------------------------------------------------------
function frame() {
  const groups = NAVIGATION.map(([title, entries]) => [title, entries.filter((name) => open(PAGES.find((one) => one.name === name)))]);
  return [
    link("/console/history", { class: "brand" }, h("img", { src: at("/console-files/icon.svg"), alt: "" }), t("brand")),
    menuButton(),
    h("nav", { class: "nav", "aria-label": t("nav") }, groups.filter(([, some]) => some.length).map(group)),
    account(),
  ];
}

function group([title, entries]) {
  const items = entries.map((name) =>
    h("li", {}, link(`/console/${name}`, { "data-name": name }, icon(name), h("span", {}, t(`nav.${name}`)))),
  );
  return h("section", {}, h("h2", {}, t(title)), h("ul", {}, items));
}

function menuButton() {
  const button = h("button", { type: "button", class: "button quiet icon-only menu-button", "aria-label": t("menu") }, icon("menu"));
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    side.dataset.open = String(side.dataset.open !== "true");
    button.setAttribute("aria-expanded", side.dataset.open);
  });
  return button;
}

function account() {
  return h(
    "div",
    { class: "account" },
    h("div", {}, h("p", { class: "who" }, signedIn.name), h("p", { class: "soft small" }, signedIn.account ?? t("account.all"))),
    h("div", { class: "choices" }, languageChoice(), themeChoice()),
    h("button", { type: "button", class: "button", onclick: signOut }, t("sign_out")),
  );
}

function languageChoice() {
  const names = [["en", "English"], ["de", "Deutsch"]];
  const made = h(
    "select",
    { "aria-label": t("language"), onchange: () => choose(made.value) },
    names.map(([value, text]) => h("option", { value, lang: value, selected: value === language }, text)),
  );
  return made;
}

function themeChoice() {
  const kept = localStorage.getItem(THEME) ?? "system";
  const made = h(
    "select",
    { "aria-label": t("theme"), onchange: () => keepTheme(made.value) },
    THEMES.map((value) => h("option", { value, selected: value === kept }, t(`theme.${value}`))),
  );
  return made;
}

function keepTheme(name) {
  localStorage.setItem(THEME, name);
  showTheme(name);
}

function showTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

async function signOut() {
  await session.signOut().catch(() => null); // whatever was answered, this browser shows nothing any more
  history.replaceState(null, "", at("/console"));
  enter({ session: null });
}

start();
