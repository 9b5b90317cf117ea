/** The REST interface, as far as the operator's page needs it. */

import { base } from "./base.js";

const PAGE_ITEMS = 50;

/** What the server refused: `status`, and `message` for people. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Api {
  #key;

  constructor(key) {
    this.#key = key;
  }

  /** A page of them, the newest first: what comes after (is older than) the one named; and where the next begins. */
  async conversations(after = null) {
    const query = new URLSearchParams({ order: "newest_first", limit: PAGE_ITEMS, ...(after ? { after } : {}) });
    const { items, next_after } = await this.#request("GET", `/v1/conversations?${query}`);
    return { items, older: next_after };
  }

  create() {
    return this.#request("POST", "/v1/conversations", {});
  }

  addParticipant(conversation, role, name) {
    return this.#request("POST", `/v1/conversations/${encodeURIComponent(conversation)}/participants`, { role, name });
  }

  end(conversation) {
    return this.#request("POST", `/v1/conversations/${encodeURIComponent(conversation)}/end`);
  }

  async recordings(conversation) {
    const { items } = await this.#request("GET", `/v1/conversations/${encodeURIComponent(conversation)}/recordings`);
    return items;
  }

  async #request(method, path, body) {
    const headers = { Authorization: `Bearer ${this.#key}` };
    if (body) headers["Content-Type"] = "application/json";
    const response = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
    const answer = await response.json().catch(() => ({})); // a proxy's error page is not JSON
    if (!response.ok) throw new Refusal(response.status, answer.detail ?? `The server answered ${response.status}.`);
    return answer;
  }
}
