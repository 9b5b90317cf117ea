/** The side panel: messages and recordings. */

const byId = (id) => document.getElementById(id);

/** Event `say` (detail: the text). */
export class Chat extends EventTarget {
  #unread = 0;
  #you = "";

  constructor() {
    super();
    byId("say").onsubmit = (event) => {
      event.preventDefault();
      const input = byId("say-text");
      const text = input.value.trim();
      if (text) this.dispatchEvent(new CustomEvent("say", { detail: text }));
      input.value = "";
    };
    byId("panel-close").onclick = () => this.toggle(false);
    byId("panel").addEventListener("keydown", ({ key }) => key === "Escape" && this.toggle(false));
  }

  toggle(open = byId("panel").hidden) {
    const button = document.querySelector("[data-action=panel]");
    byId("panel").hidden = !open;
    button.setAttribute("aria-expanded", open);
    if (open) {
      this.#count(0);
      byId("say-text").focus({ preventScroll: true });
      scrollDown();
    } else button.focus();
  }

  reset(lines, you) {
    this.#you = you;
    byId("chat").replaceChildren(...lines.map((line) => this.#line(line)));
    scrollDown();
  }

  add(line) {
    byId("chat").append(this.#line(line));
    if (byId("panel").hidden) this.#count(this.#unread + 1);
    scrollDown();
  }

  #line({ sender, name, text, at }) {
    const item = document.createElement("li");
    item.dataset.own = sender === this.#you;
    const head = document.createElement("p");
    head.className = "small";
    const when = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    head.textContent = `${sender === this.#you ? "You" : name} · ${when}`;
    const body = document.createElement("p");
    body.textContent = text;
    item.append(head, body);
    return item;
  }

  #count(unread) {
    this.#unread = unread;
    byId("unread").textContent = unread;
    byId("unread").hidden = unread === 0;
  }
}

function scrollDown() {
  const list = byId("chat");
  list.scrollTop = list.scrollHeight;
}
