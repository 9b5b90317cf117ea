/** The operator's page: create a call and hand out its links; find calls and play their recordings. */

import { Api, Refusal } from "./api.js";
import { base } from "./base.js";
import { clock, playButton, sizeOf } from "./player.js";

const KEY = "bystander-api-key"; // in sessionStorage: gone with the tab
const PEOPLE = [
  { role: "AGENT", name: "Agent" },
  { role: "VISITOR", name: "Visitor" },
];
const STATES = {
  REQUESTED: "Requested",
  LAUNCHING: "Starting",
  READY: "Waiting for media",
  RECORDING: "Recording now",
  INTERRUPTED: "Interrupted, goes on",
  PAUSED: "Paused",
  FINALIZING: "Being saved",
};

const byId = (id) => document.getElementById(id);
let api = null;

async function enter(key) {
  api = new Api(key);
  try {
    await refresh();
  } catch (error) {
    byId("key-problem").textContent = error.status === 401 ? "This key is not valid." : words(error);
    sessionStorage.removeItem(KEY);
    return;
  }
  sessionStorage.setItem(KEY, key);
  byId("key-form").hidden = true;
  byId("console").hidden = byId("forget").hidden = false;
  document.body.dataset.phase = "console";
}

async function refresh() {
  const { items, older } = await api.conversations();
  byId("conversations").replaceChildren(...items.map(conversationItem));
  byId("none").hidden = items.length > 0;
  offerOlder(older);
}

function offerOlder(after) {
  const button = byId("older");
  button.hidden = after === null;
  button.onclick = () => attempt(() => showOlder(after));
}

async function showOlder(after) {
  const { items, older } = await api.conversations(after);
  byId("conversations").append(...items.map(conversationItem));
  offerOlder(older);
}

async function create() {
  const { id } = await api.create();
  const people = await Promise.all(PEOPLE.map(({ role, name }) => api.addParticipant(id, role, name)));
  byId("links").replaceChildren(...people.map((person) => linkRow(person, id)));
  byId("links").hidden = false;
  await refresh();
}

// --- pieces --------------------------------------------------------------------------------------
function linkRow({ name, token, room_url, role }, conversation) {
  const url = new URL(room_url ?? `${base}/room/${conversation}#token=${token}`, location.origin).href;
  const row = element("div", "link");
  row.dataset.role = role;
  const field = element("input");
  field.readOnly = true;
  field.value = url;
  field.setAttribute("aria-label", `${name}'s link`);
  field.onfocus = () => field.select();
  const copy = element("button", "quiet", "Copy");
  copy.type = "button";
  copy.onclick = async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(url);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Press Ctrl+C"; // without https there is no clipboard; the link is selected
    }
  };
  const open = element("a", "quiet", "Open");
  Object.assign(open, { href: url, target: "_blank", rel: "noopener" });
  row.append(element("strong", "", name), field, copy, open);
  return row;
}

function conversationItem(conversation) {
  const { id, created_at, ended_at, external_id } = conversation;
  const item = element("li");
  const details = element("details");
  const summary = element("summary");
  const when = new Date(created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  summary.append(
    element("span", "when", when),
    element("span", "small id", external_id ?? id),
    element("span", "small", ended_at ? "Ended" : "Open"),
  );
  const list = element("div");
  details.append(summary, list);
  if (!ended_at) details.append(endButton(id));
  details.ontoggle = () => details.open && attempt(() => showRecordings(id, list));
  item.append(details);
  return item;
}

function endButton(conversation) {
  const button = element("button", "quiet end", "End call");
  button.type = "button";
  button.onclick = () => attempt(() => end(conversation));
  return button;
}

async function end(conversation) {
  if (!(await confirmed())) return;
  await api.end(conversation);
  await refresh();
}

/** Whether it is really meant: an ended call cannot be entered again. */
function confirmed() {
  const dialog = byId("end-question");
  byId("end-yes").onclick = () => dialog.close("yes");
  byId("end-no").onclick = () => dialog.close("no");
  dialog.returnValue = "no"; // Escape is no
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

async function showRecordings(conversation, list) {
  const recordings = await api.recordings(conversation);
  if (recordings.length === 0) {
    list.replaceChildren(element("p", "small empty", "Nothing was recorded."));
    return;
  }
  const items = element("ul", "recordings");
  items.append(...recordings.map(recordingItem));
  list.replaceChildren(items);
}

function recordingItem(recording) {
  const { state, duration_s, bytes, failure, filename } = recording;
  const item = element("li");
  item.dataset.state = state;
  const facts = [
    duration_s == null ? null : clock(duration_s),
    bytes == null ? null : sizeOf(bytes),
    STATES[state] ?? null,
    state === "FAILED" ? `Failed (${failure ?? "unknown"})` : null,
  ];
  item.append(element("span", "", filename ?? "Recording"), element("span", "small", facts.filter(Boolean).join(" · ")));
  if (state === "AVAILABLE") item.append(playButton({ ...recording, links: local(recording.links) }));
  return item;
}

/** Links on our own origin, whatever this server calls itself to others: the page may load from nowhere else. */
function local(links) {
  const { pathname, search } = new URL(links.media, location.origin);
  return { ...links, media: pathname + search };
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// --- events --------------------------------------------------------------------------------------
/** Run what a person asked for, and say in words what did not work. */
async function attempt(work) {
  byId("problem").textContent = "";
  try {
    await work();
  } catch (error) {
    byId("problem").textContent = words(error);
  }
}

function words(error) {
  return error instanceof Refusal ? error.message : "The server was not reached.";
}

byId("key-form").onsubmit = (event) => {
  event.preventDefault();
  enter(byId("key").value.trim());
};
byId("new-form").onsubmit = (event) => {
  event.preventDefault();
  attempt(create);
};
byId("refresh").onclick = () => attempt(refresh);
byId("forget").onclick = () => {
  sessionStorage.removeItem(KEY);
  location.reload();
};

const remembered = sessionStorage.getItem(KEY);
if (remembered) enter(remembered);
