/** A recording's events as intervals on lanes: who was there, muted, sharing, gone for a while. Pure. */

/** Lines of JSON as events; a line that is cut off is left out. */
export function parse(text) {
  const events = [];
  for (const line of text.split("\n")) {
    try {
      if (line) events.push(JSON.parse(line));
    } catch {
      break; // the last line is being written
    }
  }
  return events;
}

/** `{lanes: [{id, name, role, present, muted, cameraOff, sharing, gaps}], pauses, marks}`; intervals are [from, to] in s. */
export function lanes(events, duration) {
  const people = new Map();
  const pauses = intervals();
  const marks = [];
  for (const event of events) {
    if (event.participant) note(person(people, event), event);
    else if (event.kind === "paused") pauses.begin("", event.at_s);
    else if (event.kind === "resumed") pauses.end("", event.at_s);
    if (event.kind.startsWith("consent_") || event.kind === "degraded") marks.push(event);
  }
  return { lanes: [...people.values()].map((one) => finished(one, duration)), pauses: pauses.until(duration), marks };
}

const APART_S = 2; // what happens together is one place to go to

/** Places to go to: `[{at, kind, name}]`, each `kind` a text; the first is the beginning. */
export function chapters(events) {
  const found = [{ at: 0, kind: "begin", name: null }];
  const there = new Map(); // sessions of each participant who is there
  for (const event of events) {
    const kind = chapterOf(event, there);
    const { at } = found.at(-1);
    if (kind && (event.at_s - at >= APART_S || (kind !== "joined" && event.at_s > 0))) found.push({ at: event.at_s, kind, name: event.name ?? null });
  }
  return found;
}

function chapterOf({ kind, participant, source }, there) {
  if (["paused", "resumed", "gap"].includes(kind)) return kind;
  if (kind !== "joined" && kind !== "left") return null;
  if (source !== "camera" && source !== "microphone") return kind === "joined" ? "sharing" : "shared";
  const before = there.get(participant) ?? 0;
  const now = Math.max(0, before + (kind === "joined" ? 1 : -1));
  there.set(participant, now);
  if (kind === "joined") return before === 0 ? kind : null;
  return now === 0 ? kind : null;
}

function person(people, { participant, name, role }) {
  if (!people.has(participant)) {
    const parts = Object.fromEntries(["present", "muted", "cameraOff", "sharing", "gaps"].map((part) => [part, intervals()]));
    people.set(participant, { id: participant, name, role, media: new Map(), ...parts });
  }
  return people.get(participant);
}

function note(one, { kind, at_s: at, source, detail = {} }) {
  const shares = source && source !== "camera" && source !== "microphone";
  if (kind === "joined") (shares ? one.sharing : one.present).begin(source, at);
  if (kind === "left") (shares ? one.sharing : one.present).end(source, at);
  if (kind === "stream_started") one.media.set(detail.stream, detail.media);
  if (kind === "gap_started") one.gaps.begin(source, at);
  if (kind === "gap_ended") one.gaps.end(source, at);
  const silent = one.media.get(detail.stream) === "video" ? one.cameraOff : one.muted;
  if (kind === "muted") silent.begin(detail.stream, at);
  if (kind === "unmuted" || kind === "stream_ended") silent.end(detail.stream, at);
  if (kind === "left") [one.muted, one.cameraOff, one.gaps].forEach((some) => !shares && some.endAll(at));
}

function finished({ id, name, role, ...parts }, duration) {
  const lane = { id, name, role };
  for (const part of ["present", "muted", "cameraOff", "sharing", "gaps"]) lane[part] = parts[part].until(duration);
  if (lane.present.length === 0) lane.present = lane.sharing; // somebody who only shares is there while they do
  return lane;
}

function intervals() {
  const open = new Map();
  const done = [];
  const end = (key, at) => {
    if (open.has(key)) done.push([open.get(key), at]);
    open.delete(key);
  };
  return {
    begin: (key, at) => open.has(key) || open.set(key, at),
    end,
    endAll: (at) => [...open.keys()].forEach((key) => end(key, at)),
    until: (at) => [...done, ...[...open.values()].map((from) => [from, Math.max(from, at)])].sort(([one], [other]) => one - other),
  };
}
