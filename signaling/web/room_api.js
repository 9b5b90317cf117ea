/** The REST interface as a participant calls it from the room: with the link's token. */

import { base } from "./base.js";

/** What the server refused: `code` for programs, `message` for people. */
export class Refused extends Error {
  constructor(status, problem, retryAfterS = null) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.retryAfterS = retryAfterS;
  }
}

export class RoomApi {
  #token;
  #conversation;

  constructor(token) {
    this.#token = token;
    this.#conversation = location.pathname.split("/room/")[1]?.split("/")[0] ?? "";
  }

  get headers() {
    return { Authorization: `Bearer ${this.#token}` };
  }

  /** The address of something of this conversation. */
  url(path) {
    return `${base}/v1/conversations/${this.#conversation}${path}`;
  }

  services() {
    return this.json("GET", "/services");
  }

  async backgrounds() {
    return this.json("GET", "/backgrounds");
  }

  /** A link that a browser follows without a header; it is good for some hours. */
  async linkTo(file) {
    const { links } = await this.json("GET", `/files/${file}`);
    if (!links.content) throw new Refused(409, { code: "file_not_available", detail: "This file cannot be fetched." });
    const signed = new URL(links.content);
    return base + signed.pathname.slice(signed.pathname.indexOf("/v1/")) + signed.search; // by our own origin
  }

  async json(method, path, body) {
    const response = await this.send(method, path, {
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
    });
    return response.json();
  }

  async send(method, path, { body, headers = {} } = {}) {
    const response = await fetch(this.url(path), { method, body, headers: { ...this.headers, ...headers } });
    if (response.ok) return response;
    throw await refusal(response);
  }
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({})); // a proxy's error page is not JSON
  return new Refused(response.status, problem, Number(response.headers.get("Retry-After")) || null);
}
