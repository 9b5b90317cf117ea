/** A page that whoever is signed in may not see. */

import { t } from "../language.js";
import { empty, pageHead } from "../parts.js";

export function show(place) {
  place.append(pageHead(t("not_allowed.title")), empty(t("not_allowed.title"), t("not_allowed.text"), "keys"));
}
