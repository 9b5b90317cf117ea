/** The grid of pictures: one tile for each camera, one for each shared screen. */

import { largestTiles, screenAndFaces } from "./layout.js";

const GAP_PX = 12;
const ROLES = {
  AGENT: "Agent",
  SECONDARY_AGENT: "Agent",
  SUPERVISOR: "Supervisor",
  VISITOR: "Visitor",
  SECONDARY_VISITOR: "Visitor",
};

export function roleName(role) {
  return ROLES[role] ?? role;
}

export class Tiles {
  #grid;
  #tiles = new Map();

  constructor(grid) {
    this.#grid = grid;
    new ResizeObserver(() => this.#arrange()).observe(grid);
  }

  /**
   * Show exactly these, in this order. Each: { key, participant, name, role, kind: "camera" | "screen", self, stream,
   * microphone, camera, connection, level }.
   */
  show(wanted) {
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, tile] of this.#tiles) {
      if (!keys.has(key)) {
        tile.remove();
        this.#tiles.delete(key);
      }
    }
    wanted.forEach((facts, index) => {
      const tile = this.#tiles.get(facts.key) ?? this.#create(facts);
      update(tile, facts);
      if (this.#grid.children[index] !== tile) this.#grid.insertBefore(tile, this.#grid.children[index] ?? null);
    });
    const main = wanted.find(({ kind }) => kind === "screen")?.key;
    for (const [key, tile] of this.#tiles) tile.dataset.main = key === main;
    this.#arrange();
  }

  /** Mark who speaks: `levels` are 0 to 1 by tile key. */
  speaking(levels) {
    for (const [key, level] of levels) {
      const tile = this.#tiles.get(key);
      if (tile) tile.dataset.speaking = level > 0.02;
    }
  }

  #create({ key, self, kind }) {
    const tile = document.getElementById("tile").content.firstElementChild.cloneNode(true);
    tile.querySelector("video").muted = self; // nobody wants to hear themselves
    tile.classList.toggle("mirrored", self && kind === "camera");
    this.#tiles.set(key, tile);
    return tile;
  }

  #arrange() {
    const box = { width: this.#grid.clientWidth, height: this.#grid.clientHeight };
    const hasMain = [...this.#tiles.values()].some((tile) => tile.dataset.main === "true");
    const small = this.#tiles.size - (hasMain ? 1 : 0);
    const { layout, mainHeight, width, height } = hasMain
      ? screenAndFaces(small, box, GAP_PX)
      : { layout: "grid", mainHeight: 0, ...largestTiles(small, box, GAP_PX) };
    this.#grid.dataset.layout = layout;
    const properties = { "--tile-width": `${width}px`, "--tile-height": `${height}px`, "--main-height": `${mainHeight}px`, "--film-count": small };
    for (const [name, value] of Object.entries(properties)) this.#grid.style.setProperty(name, value);
  }
}

function update(tile, facts) {
  const { participant, kind, self, role, connection, microphone, camera } = facts;
  Object.assign(tile.dataset, { participant, kind, self, role, connection, microphone, camera });
  const whose = self ? `${facts.name} (you)` : facts.name;
  const label = kind === "screen" ? `${self ? "Your" : `${facts.name}'s`} screen` : whose;
  setText(tile.querySelector(".name"), label);
  setText(tile.querySelector(".avatar"), initials(facts.name));
  setText(tile.querySelector(".state"), STATES[connection] ?? "");
  tile.setAttribute("aria-label", `${label}, ${roleName(role)}${microphone ? "" : ", muted"}`);
  const video = tile.querySelector("video");
  if (video.srcObject !== facts.stream) video.srcObject = facts.stream;
}

const STATES = {
  new: "Connecting…",
  connecting: "Connecting…",
  disconnected: "Reconnecting…",
  failed: "Looking for another path…",
  away: "Away for a moment…",
};

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((word) => [...word][0] ?? "").join("").toUpperCase();
}
