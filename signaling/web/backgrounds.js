/** The menu of backgrounds, for agents: none, a blur, what is built in, and what was uploaded for them. */

import { drawCover } from "./background_effect.js";
import { byId, toast } from "./ui.js";

const PICTURE = { width: 1280, height: 720 };
const THUMBNAIL = { width: 128, height: 72 };
const OFF = "Backgrounds cannot be used now: the storage of this server does not work.";

/** Walls and light, painted here: from the top to the bottom. */
const BUILT_IN = [
  { id: "dawn", name: "Dawn", colours: ["#f3d9c4", "#d8a48f", "#7c6a83"] },
  { id: "harbour", name: "Harbour", colours: ["#dfe9ef", "#9fbccb", "#456a7d"] },
  { id: "forest", name: "Forest", colours: ["#e3ebe0", "#9db8a0", "#3f5f4c"] },
  { id: "slate", name: "Slate", colours: ["#5a6670", "#39434c", "#1f272d"] },
];

export class Backgrounds {
  #api;
  #media;
  #service = null;
  #chosen = "none";
  #working = false;

  constructor(api, media) {
    this.#api = api;
    this.#media = media;
    byId("backgrounds-close").onclick = () => this.toggle(false);
    byId("backgrounds").addEventListener("keydown", (event) => this.#key(event));
    media.addEventListener("slow", () => {
      this.#mark("none");
      toast("This computer is too slow for a background. Your camera is shown as it is.", { kind: "warning" });
    });
  }

  /** As the server says. Whoever stands in front of one goes on with it. */
  async allow({ backgrounds: service }) {
    const changed = this.#service?.enabled !== service.enabled;
    this.#service = service;
    const button = document.querySelector("[data-action=backgrounds]");
    if (service.enabled && changed) await this.#offer();
    if (service.reason === "storage_test_failed") {
      button.disabled = true;
      button.title = OFF;
      this.toggle(false);
    } else if (!service.enabled) button.hidden = true;
  }

  toggle(open = byId("backgrounds").hidden) {
    const button = document.querySelector("[data-action=backgrounds]");
    const was = !byId("backgrounds").hidden;
    byId("backgrounds").hidden = !open;
    button.setAttribute("aria-expanded", open);
    if (open) byId("backgrounds-list").querySelector("[aria-checked=true]")?.focus();
    else if (was) button.focus();
  }

  /** Arrows go from one to the next, as in every group of which one is chosen. */
  #key(event) {
    if (event.key === "Escape") this.toggle(false);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...byId("backgrounds-list").children];
    const now = all.indexOf(document.activeElement);
    if (!step || now < 0) return;
    event.preventDefault();
    all[(now + step + all.length) % all.length].focus();
  }

  async #offer() {
    const button = document.querySelector("[data-action=backgrounds]");
    try {
      const { built_in, effects, items } = await this.#api.backgrounds();
      button.hidden = !effects;
      button.disabled = false;
      button.title = "Background";
      const painted = built_in ? BUILT_IN.map((one) => ({ ...one, picture: async () => paint(one.colours) })) : [];
      const uploaded = items.map(({ id, name }) => ({ id, name, picture: () => this.#fetch(id) }));
      const blur = built_in ? [{ id: "blur", name: "Blur", picture: async () => null }] : [];
      const none = { id: "none", name: "No background" };
      byId("backgrounds-list").replaceChildren(...[none, ...blur, ...uploaded, ...painted].map((one) => this.#entry(one)));
      this.#mark(this.#chosen);
    } catch (error) {
      button.hidden = true;
      console.info("No backgrounds are offered.", error.code ?? error.name);
    }
  }

  #entry(choice) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "background" });
    button.dataset.background = choice.id;
    button.setAttribute("role", "radio");
    const canvas = document.createElement("canvas");
    Object.assign(canvas, THUMBNAIL);
    const name = document.createElement("span");
    name.textContent = choice.name.replace(/\.(?:jpe?g|png)$/i, "");
    button.append(canvas, name);
    button.onclick = () => this.#choose(choice);
    choice.picture?.().then(
      (picture) => picture && drawCover(canvas.getContext("2d"), picture, canvas.width, canvas.height),
      () => button.remove(), // it cannot be fetched: nobody chooses it
    );
    return button;
  }

  async #choose({ id, picture }) {
    if (this.#working) return;
    this.#working = true;
    byId("backgrounds").setAttribute("aria-busy", "true");
    try {
      await this.#media.useBackground(picture ? { picture: await picture() } : null);
      this.#mark(id);
    } catch (error) {
      console.warn("A background could not be used.", error);
      this.#mark("none");
      toast("This browser cannot show a background. Your camera is shown as it is.", { kind: "warning" });
    } finally {
      this.#working = false;
      byId("backgrounds").removeAttribute("aria-busy");
    }
  }

  #mark(id) {
    this.#chosen = id;
    document.body.dataset.background = id;
    for (const button of byId("backgrounds-list").children) {
      const chosen = button.dataset.background === id;
      button.setAttribute("aria-checked", chosen);
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  async #fetch(id) {
    const response = await this.#api.send("GET", `/backgrounds/${id}`);
    return createImageBitmap(await response.blob());
  }
}

function paint(colours) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, PICTURE);
  const context = canvas.getContext("2d");
  const wall = context.createLinearGradient(0, 0, PICTURE.width / 4, PICTURE.height);
  colours.forEach((colour, index) => wall.addColorStop(index / (colours.length - 1), colour));
  context.fillStyle = wall;
  context.fillRect(0, 0, PICTURE.width, PICTURE.height);
  const light = context.createRadialGradient(PICTURE.width * 0.72, PICTURE.height * 0.2, 0, PICTURE.width * 0.72, PICTURE.height * 0.2, PICTURE.width * 0.7);
  light.addColorStop(0, "rgb(255 255 255 / 35%)");
  light.addColorStop(1, "rgb(255 255 255 / 0%)");
  context.fillStyle = light;
  context.fillRect(0, 0, PICTURE.width, PICTURE.height);
  return canvas;
}
