/** The REST interface, as far as the operator's page needs it. */

import { base } from "./base.js";

const PAGE_ITEMS = 100;
const PAGES_MAX = 20; // the interface lists the oldest first; beyond this the newest are not shown

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

  /** The newest first. */
  async conversations() {
    const found = [];
    let after = null;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query = new URLSearchParams({ limit: PAGE_ITEMS, ...(after ? { after } : {}) });
      const { items, next_after } = await this.#request("GET", `/v1/conversations?${query}`);
      found.push(...items);
      after = next_after;
      if (after === null) break;
    }
    return found.reverse();
  }

  create() {
    return this.#request("POST", "/v1/conversations", {});
  }

  addParticipant(conversation, role, name) {
    return this.#request("POST", `/v1/conversations/${encodeURIComponent(conversation)}/participants`, { role, name });
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
