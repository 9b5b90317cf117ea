/** The token of this room's link: taken out of the address bar, where screens are shared and links are copied from. */

const KEPT = `token:${location.pathname}`;

/** The link's token; after a reload, the one that this window came with. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem(KEPT, given); // of this window alone, and gone with it
  } catch {
    return given; // nothing may be kept here, so a reload has to find it where it is
  }
  if (given) history.replaceState(history.state, "", location.pathname + location.search);
  return given ?? sessionStorage.getItem(KEPT);
}
