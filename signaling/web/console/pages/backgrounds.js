/** Backgrounds that agents may stand in front of: uploaded for an account or one of its templates. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { bytes, t } from "../language.js";
import { action, confirmed, empty, field, fill, notice, pageHead, toast, words } from "../parts.js";

const TYPES = ["image/jpeg", "image/png"];
const BYTES_MAX = 20 * 1024 * 1024;

export function show(place, { query, go, signal, signedIn }) {
  const account = signedIn.account ?? query.get("account") ?? "default";
  const list = h("div", { class: "stack" });
  const load = () => fill(list, () => content(account, load, signal), signal);
  place.append(
    pageHead(t("backgrounds.title"), t("backgrounds.note")),
    signedIn.account === null ? chooser(account, go) : null,
    uploading(account, load),
    list,
  );
  load();
}

function chooser(account, go) {
  const made = h(
    "form",
    { class: "search" },
    field(t("account"), (tied) => h("input", { name: "account", value: account, maxlength: "128", pattern: "[A-Za-z0-9_\\-]{1,128}", required: true, ...tied })),
    h("button", { class: "button" }, t("options.show")),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    go(`/console/backgrounds?${new URLSearchParams({ account: made.elements.account.value })}`);
  });
  return made;
}

// --- uploading ---------------------------------------------------------------------------------------------
function uploading(account, load) {
  const problem = h("div", { role: "alert" });
  const form = h(
    "form",
    { class: "card stack" },
    h("h2", {}, t("backgrounds.add")),
    field(t("backgrounds.files"), (tied) => h("input", { type: "file", name: "files", accept: ".jpg,.jpeg,.png,image/jpeg,image/png", multiple: true, required: true, ...tied }), { hint: t("backgrounds.files_hint") }),
    field(t("backgrounds.template"), (tied) => h("input", { name: "template", maxlength: "256", placeholder: t("backgrounds.all_templates"), ...tied })),
    problem,
    h("div", { class: "row" }, h("button", { class: "button primary" }, t("backgrounds.upload"))),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    problem.replaceChildren();
    for (const file of form.elements.files.files) {
      try {
        check(file);
        await call("POST", `/v1/accounts/${encodeURIComponent(account)}/backgrounds`, { file, query: { name: file.name, template: form.elements.template.value } });
        toast(t("backgrounds.added", { name: file.name }));
      } catch (error) {
        problem.append(notice("alert", h("strong", {}, file.name), " ", error instanceof TypeError ? error.message : words(error)));
      }
    }
    button.disabled = false;
    form.elements.files.value = "";
    load();
  });
  return form;
}

/** What the server would refuse anyway is not sent. */
function check(file) {
  if (!TYPES.includes(file.type)) throw new TypeError(t("backgrounds.wrong_type"));
  if (file.size > BYTES_MAX) throw new TypeError(t("backgrounds.too_large", { size: bytes(BYTES_MAX) }));
}

// --- what there is -----------------------------------------------------------------------------------------
async function content(account, load, signal) {
  const { items } = await call("GET", `/v1/accounts/${encodeURIComponent(account)}/backgrounds`, { signal });
  if (items.length === 0) return empty(t("backgrounds.none"), t("backgrounds.none_text"), "picture");
  return h("ul", { class: "backgrounds" }, items.map((one) => card(one, load)));
}

function card({ id, account, name, template, width, height, bytes: size, links }, load) {
  const remove = async () => {
    if (!(await confirmed(t("backgrounds.remove_question", { name }), t("backgrounds.remove")))) return;
    await call("DELETE", `/v1/accounts/${account}/backgrounds/${id}`);
    load();
  };
  return h(
    "li",
    { class: "card stack tight" },
    h("img", { src: links.picture, alt: "", loading: "lazy", width: "320", height: "180" }),
    h("strong", {}, name),
    h("span", { class: "soft small" }, `${template ?? t("backgrounds.all_templates")} · ${width} × ${height} · ${bytes(size)}`),
    h("div", { class: "row" }, action(t("backgrounds.remove"), remove, { kind: "danger compact", "aria-label": t("backgrounds.remove_name", { name }) })),
  );
}
