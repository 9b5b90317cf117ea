/** The REST interface as the console calls it: with the session's cookie, and its token where something changes. */

import { at } from "./base.js";

const SAFE = ["GET", "HEAD"];
let csrfToken = null;

/** What the server refused: `code` for programs, `message` for people. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.field = problem.field ?? null;
  }
}

/** The server was not reached at all. */
export class Unreachable extends Error {}

export const session = {
  async current() {
    return keep(await call("GET", "/console/session"));
  },
  async signIn(key) {
    return keep(await call("POST", "/console/session", { body: { key } }));
  },
  async signOut() {
    await call("DELETE", "/console/session");
    csrfToken = null;
  },
};

function keep(state) {
  csrfToken = state.session?.csrf_token ?? null;
  return state;
}

/** The answer's JSON; null where there is none. Raises Refusal or Unreachable. */
export async function call(method, path, { body, file, query, headers = {}, signal } = {}) {
  const response = await send(method, path, { body, file, query, headers, signal });
  if (response.status === 204) return null;
  return response.json();
}

/** The answer itself, of which more may come. `file` is sent as it is, `body` as JSON. */
export async function send(method, path, { body, file, query, headers = {}, signal } = {}) {
  const given = { Accept: "application/json", ...headers };
  if (body !== undefined) given["Content-Type"] = "application/json";
  if (file !== undefined) given["Content-Type"] = file.type;
  if (!SAFE.includes(method) && csrfToken) given["X-CSRF-Token"] = csrfToken;
  let response;
  try {
    const sent = body === undefined ? file : JSON.stringify(body);
    response = await fetch(at(path) + asked(query), { method, headers: given, body: sent, signal, redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(String(error));
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({})); // a proxy's error page is not JSON
  if (response.status === 401 && path !== "/console/session") window.dispatchEvent(new Event("signed-out"));
  throw new Refusal(response.status, problem);
}

function asked(query) {
  if (!query) return "";
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

const PAGES_MAX = 50; // of a list that is shown as a whole; 200 entries each

/** All of a list that has an end: participants, messages of one conversation. */
export async function all(path, { query = {}, signal } = {}) {
  const found = [];
  let after = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await call("GET", path, { query: { ...query, limit: 200, after }, signal });
    found.push(...answer.items);
    after = answer.next_after;
    if (after === null) break;
  }
  return found;
}
