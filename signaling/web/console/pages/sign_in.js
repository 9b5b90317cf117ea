/** Signing in with an API key. */

import { session } from "../api.js";
import { h } from "../dom.js";
import { t } from "../language.js";
import { field, words } from "../parts.js";

export function show(place, { entered }) {
  const problem = h("p", { class: "problem", role: "alert" });
  const key = { type: "password", name: "key", autocomplete: "current-password", spellcheck: "false", required: true };
  const form = h(
    "form",
    { class: "stack", method: "post", onsubmit: (event) => submit(event, form, problem, entered) },
    field(t("sign_in.key"), (tied) => h("input", { ...key, ...tied }), { hint: t("sign_in.key_hint") }),
    problem,
    h("button", { class: "button primary" }, t("sign_in")),
  );
  place.append(
    h(
      "section",
      { class: "sign-in card stack" },
      h("img", { src: "/console-files/icon.svg", alt: "", width: "40", height: "40" }),
      h("div", { class: "stack tight" }, h("h1", { tabindex: "-1" }, t("sign_in.title")), h("p", { class: "soft" }, t("sign_in.note"))),
      form,
    ),
  );
  form.elements.key.focus();
}

async function submit(event, form, problem, entered) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  problem.textContent = "";
  try {
    entered(await session.signIn(form.elements.key.value));
  } catch (error) {
    problem.textContent = error.code === "unauthorized" ? t("sign_in.wrong") : words(error);
    form.elements.key.setAttribute("aria-invalid", "true");
    form.elements.key.select();
  } finally {
    button.disabled = false;
  }
}
