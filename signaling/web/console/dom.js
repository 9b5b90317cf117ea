/** Elements made of texts: nothing here, or anywhere in the console, turns a text into HTML. */

import { at } from "./base.js";

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  history: "M3 12a9 9 0 1 0 3-6.7M3 4v4h4M12 7v5l3 2",
  live: "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4M7.8 16.2a6 6 0 0 1 0-8.4M16.2 7.8a6 6 0 0 1 0 8.4M5 19a10 10 0 0 1 0-14M19 5a10 10 0 0 1 0 14",
  storage: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3m0 0v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  options: "M4 6h10M18 6h2M4 12h2M10 12h10M4 18h8M16 18h4M16 4v4M8 10v4M14 16v4",
  webhooks: "M18 16h-5.5a3 3 0 0 1-2.6-4.5L12 8M6 17a3 3 0 1 0 2.8 4M12 8a3 3 0 1 1 2.9-3.8M12 8l3 5.2M18 16a3 3 0 1 1-2.6 4.5",
  keys: "M7.5 11.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.8 12.9L20 4M16 8l3 3",
  usage: "M4 20V10M10 20V4M16 20v-7M22 20H2",
  health: "M3 12h4l2-6 4 12 2-6h6",
  video: "M3 7a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM16 10l5-3v10l-5-3",
  audio: "M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4",
  chat: "M21 12a8 8 0 0 1-11.7 7.1L4 20.5l1.4-4.8A8 8 0 1 1 21 12",
  close: "M6 6l12 12M18 6L6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  open: "M14 4h6v6M20 4l-9 9M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  warning: "M12 4L2.5 20h19zM12 10v4M12 17h.01",
  good: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8 12l3 3 5-6",
  stop: "M7 7h10v10H7z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5",
  file: "M6.5 3.5h7l5 5v10a2 2 0 0 1-2 2h-10a2 2 0 0 1-2-2v-13a2 2 0 0 1 2-2M13.5 3.5v5h5",
  picture: "M4 6a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 16l5-5 5 5M13 15l3-3 4 4M15.5 8.5h.01",
  backgrounds: "M4 6a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM12 8a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M7 20a5 5 0 0 1 10 0",
  wait: "M12 3a9 9 0 1 0 9 9M12 7v5l3 3",
};

/** An element: `attributes` are attributes, `on...` listeners, `class`, or properties after a dot (`.value`). */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(made, name, value);
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name.startsWith(".")) element[name.slice(1)] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

export function icon(name) {
  const drawn = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" })) {
    drawn.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.warning);
  drawn.append(path);
  return drawn;
}

/** A link to a path of the console, which the router follows without loading the page anew. */
export function link(href, attributes, ...children) {
  return h("a", { href: at(href), ...attributes }, ...children);
}

let last = 0;

/** An id for a label and its field. */
export function freshId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}
