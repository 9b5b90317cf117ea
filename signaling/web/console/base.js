/** Where this server's paths begin: a proxy in front may give it a part of its host. No slash at the end. */
export const base = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** A path of ours as the browser knows it. */
export function at(path) {
  return base + path;
}

/** The path of ours that the browser shows. */
export function here() {
  return location.pathname.slice(base.length);
}
