/** A path of the console where there is no page. */

import { link } from "../dom.js";
import { t } from "../language.js";
import { empty, pageHead } from "../parts.js";

export function show(place) {
  place.append(
    pageHead(t("not_found.title")),
    empty(t("not_found.title"), t("not_found.text"), "search", link("/console/history", { class: "button" }, t("nav.history"))),
  );
}
