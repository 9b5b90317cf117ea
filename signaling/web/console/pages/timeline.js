/** The timeline below the player: a lane for each participant, and a slider over all of them. */

import { h } from "../dom.js";
import { clock, t } from "../language.js";

const STEP_S = 5;
const PARTS = ["present", "sharing", "cameraOff", "muted", "gaps"];

/** `show(model, duration)` draws; `at(seconds)` moves the line; `seek(seconds)` is called by whoever uses it. */
export function timeline(seek) {
  const list = h("div", { class: "lanes" });
  const line = h("div", { class: "playhead" });
  const slider = h("div", { class: "slider", role: "slider", tabindex: "0", "aria-label": t("player.position"), "aria-valuemin": "0" }, line);
  const root = h("section", { class: "timeline", "aria-label": t("player.timeline") }, list, slider, legend());
  let duration = 0;
  let now = 0;

  slider.addEventListener("pointerdown", (event) => {
    slider.setPointerCapture(event.pointerId);
    move(event);
  });
  slider.addEventListener("pointermove", (event) => slider.hasPointerCapture(event.pointerId) && move(event));
  slider.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: now - STEP_S, ArrowRight: now + STEP_S, Home: 0, End: duration };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    seek(Math.min(duration, Math.max(0, steps[event.key])));
  });

  function move(event) {
    const { left, width } = slider.getBoundingClientRect();
    seek(Math.min(1, Math.max(0, (event.clientX - left) / width)) * duration);
  }

  return {
    root,
    show(model, length) {
      duration = length;
      slider.setAttribute("aria-valuemax", String(Math.round(length)));
      list.replaceChildren(...model.lanes.map((lane) => drawn(lane, model.pauses, length)), ruler(length));
    },
    at(seconds) {
      now = seconds;
      line.style.left = `${duration ? (100 * Math.min(seconds, duration)) / duration : 0}%`;
      slider.setAttribute("aria-valuenow", String(Math.round(seconds)));
      slider.setAttribute("aria-valuetext", t("player.at", { time: clock(seconds), duration: clock(duration) }));
    },
  };
}

function drawn(lane, pauses, duration) {
  const bars = PARTS.flatMap((part) => lane[part].map((interval) => bar(part, interval, duration)));
  const stopped = pauses.map((interval) => bar("pause", interval, duration));
  const words = PARTS.filter((part) => lane[part].length).map((part) => `${t(`lane.${part}`)}: ${lane[part].map(told).join(", ")}`);
  return h(
    "div",
    { class: "lane" },
    h("div", { class: "lane-name" }, h("span", {}, lane.name ?? t("somebody")), lane.role ? h("span", { class: "soft small" }, t(`role.${lane.role}`)) : null),
    h("div", { class: "lane-track" }, bars, stopped, h("span", { class: "hidden-text" }, words.join("; "))),
  );
}

function bar(part, [from, to], duration) {
  const made = h("span", { class: "bar", "data-part": part, title: `${t(`lane.${part}`)} ${told([from, to])}` });
  made.style.left = `${(100 * from) / duration}%`;
  made.style.width = `max(2px, ${(100 * (to - from)) / duration}%)`;
  return made;
}

function told([from, to]) {
  return `${clock(from)}–${clock(to)}`;
}

function ruler(duration) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => h("span", { class: "small soft number" }, clock(share * duration)));
  return h("div", { class: "lane ruler", "aria-hidden": "true" }, h("div", { class: "lane-name" }), h("div", { class: "marks" }, marks));
}

function legend() {
  const parts = [...PARTS, "pause"].map((part) => h("li", {}, h("span", { class: "bar", "data-part": part }), t(`lane.${part}`)));
  return h("ul", { class: "legend small soft" }, parts);
}
