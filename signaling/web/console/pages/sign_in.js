/** Signing in, with an API key or by the organisation's own provider. */

import { session } from "../api.js";
import { at } from "../base.js";
import { h } from "../dom.js";
import { has, t } from "../language.js";
import { field, notice, words } from "../parts.js";

export function show(place, { entered, oidc, query }) {
  const problem = h("p", { class: "problem", role: "alert" });
  const key = { type: "password", name: "key", autocomplete: "current-password", spellcheck: "false", required: true };
  const form = h(
    "form",
    { class: "stack", method: "post", onsubmit: (event) => submit(event, form, problem, entered) },
    field(t("sign_in.key"), (tied) => h("input", { ...key, ...tied }), { hint: t("sign_in.key_hint") }),
    problem,
    h("button", { class: oidc ? "button" : "button primary" }, t("sign_in")),
  );
  place.append(
    h(
      "section",
      { class: "sign-in card stack" },
      h("img", { src: at("/console-files/icon.svg"), alt: "", width: "40", height: "40" }),
      h("div", { class: "stack tight" }, h("h1", { tabindex: "-1" }, t("sign_in.title")), h("p", { class: "soft" }, t("sign_in.note"))),
      refusal(query.get("refused")),
      oidc ? h("a", { class: "button primary", href: at("/console/oidc/start"), "data-leaves": true }, t("sign_in.oidc")) : null,
      oidc ? h("p", { class: "or soft small" }, t("sign_in.or")) : null,
      form,
    ),
  );
  form.elements.key.focus();
}

/** Why the provider's sign-in led back here. */
function refusal(code) {
  if (!code) return null;
  return notice("alert", has(`sign_in.refused.${code}`) ? t(`sign_in.refused.${code}`) : t("sign_in.refused.oidc_refused"));
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
