/** The call: brings socket, devices, peers, recorders and page together. */

import { Announcement } from "./announce.js";
import { Backgrounds } from "./backgrounds.js";
import { Chat } from "./chat.js";
import { Consent } from "./consent.js";
import { LocalMedia } from "./devices.js";
import { Files } from "./files.js";
import { Mesh, configurationOf } from "./mesh.js";
import { playButton } from "./player.js";
import { RecorderLink } from "./recorder.js";
import { RoomApi } from "./room_api.js";
import { Snapshots } from "./snapshot.js";
import { RoomSocket } from "./socket.js";
import { takeToken } from "./token.js";
import { Tiles, roleName } from "./tiles.js";
import { byId, farewell, onActions, phase, pressed, problem, showPast, toast } from "./ui.js";

const AGENTS = new Set(["AGENT", "SECONDARY_AGENT", "SUPERVISOR"]);
const LEVELS_INTERVAL_MS = 250;
const HELD_TEXT = "The call begins as soon as it can be recorded.";
const ALONE_TEXT = byId("alone").textContent;

const token = takeToken();
const socket = new RoomSocket(`${location.href.split(/[?#]/)[0].replace(/^http/, "ws")}/socket`, token);
const media = new LocalMedia();
const tiles = new Tiles(byId("grid"));
const announcement = new Announcement();
const api = new RoomApi(token);
const files = new Files(api);
const backgrounds = new Backgrounds(api, media);
const snapshots = new Snapshots(api, media, () => AGENTS.has(role));
const chat = new Chat((id) => announcement.recording(id), {
  fileLink: (notice) => files.link(notice),
  thumbnail: (notice) => snapshots.thumbnail(notice),
});
const consent = new Consent();

const members = new Map(); // id -> Member
const mesh = new Mesh(media, (message) => socket.send(message));
const recorders = new Map(); // recording -> RecorderLink
let welcome = null;
let role = null; // ours
let held = false; // the call may not start before it can be recorded
let waiting = []; // what happens to the mesh once it may

// --- the room ------------------------------------------------------------------------------------
const handlers = {
  welcome(message) {
    welcome = message;
    document.title = `${message.you.name} · Call`;
    byId("who").textContent = `${message.you.name} · ${roleName(message.you.role)}`;
    members.clear();
    message.roster.forEach((member) => members.set(member.id, member));
    announcement.reset(message.status, message.recordings);
    role = message.you.role;
    document.body.dataset.agent = AGENTS.has(role);
    allow(message.services);
    chat.reset(message.chat, message.you.id);
    consent.reset(message.consent, message.answer);
    waiting = [];
    hold(message.call === "HELD");
    whenLet(() => mesh.entered(message));
    forgetEndedRecorders(message.publishing);
    tellMedia();
    tellScreen();
  },
  past(message) {
    role = message.role;
    announcement.reset(undefined, message.recordings);
    chat.reset(message.chat, message.you);
    showPast(`${message.name} · Conversation`, message.chat.length > 0 || message.recordings.length > 0);
  },
  joined({ member }) {
    members.set(member.id, member);
    whenLet(() => mesh.joined(member));
  },
  left({ participant }) {
    members.delete(participant);
    whenLet(() => mesh.left(participant));
  },
  away({ participant }) {
    members.set(participant, { ...members.get(participant), away: true });
  },
  returned({ member }) {
    members.set(member.id, member);
    whenLet(() => mesh.returned(member));
  },
  changed({ member }) {
    members.set(member.id, member);
  },
  interaction_changed({ kind, layer, participant, state }) {
    if (kind === "CALL") hold(state === "HELD");
    else if (participant === welcome?.you.id) shareDecided(state);
    const name = members.get(participant)?.name;
    if (name && layer === "screen_share" && state === "STARTED") toast(`${name} shares their screen.`);
  },
  signaled(message) {
    mesh.signaled(message);
  },
  said({ line }) {
    chat.add(line);
  },
  recording_changed({ recording }) {
    announcement.changed(recording);
    chat.update(recording);
  },
  status_changed({ status }) {
    announcement.announce(status);
  },
  consent_changed({ answer }) {
    consent.changed(answer);
  },
  file_changed({ file }) {
    (file.kind === "SNAPSHOT" ? snapshots : files).changed(file);
  },
  snapshot_wanted(request) {
    snapshots.wanted(request);
  },
  services_changed() {
    askServices();
  },
  publish(invitation) {
    if (recorders.has(invitation.recording)) return; // it survived our socket
    const link = new RecorderLink(invitation, configurationOf(invitation), media);
    recorders.set(invitation.recording, link);
    link.addEventListener("state", showPublishing);
    showPublishing();
  },
  unpublish({ recording, ended }) {
    stopPublishing(recording, { gone: ended });
  },
  error({ detail }) {
    toast(detail, { kind: "warning" });
  },
};

socket.addEventListener("message", ({ detail }) => {
  handlers[detail.type]?.(detail);
  show();
});
socket.addEventListener("state", ({ detail }) => {
  document.body.dataset.socket = detail;
  byId("connection").textContent = { connecting: "Connecting…", reconnecting: "Reconnecting…" }[detail] ?? "";
});
socket.addEventListener("end", ({ detail }) => {
  if (detail === null) return;
  hangUp();
  if (document.body.dataset.phase !== "past") farewell("The call is over for you", detail);
});

function allow(services) {
  if (!services) return;
  announcement.allow(services);
  files.allow(services);
  snapshots.allow(services);
  backgrounds.allow(services);
}

/** What may be done beside talking: it changes with the storage test, and with settings. */
async function askServices() {
  try {
    allow(await api.services());
  } catch (error) {
    console.info("What may be done was not told.", error.code ?? error.name); // the next welcome says it
  }
}

/** Do it when the call may start, in the order in which it came. */
function whenLet(action) {
  if (held) waiting.push(action);
  else action();
}

function hold(now) {
  held = now;
  document.body.dataset.held = held;
  byId("alone").textContent = held ? HELD_TEXT : ALONE_TEXT;
  if (!held) waiting.splice(0).forEach((action) => action());
}

/** Our own share is sent once it may, and never where it cannot be recorded but has to be. */
function shareDecided(state) {
  if (state === "STARTED" && media.letScreen()) sendScreen();
  if (state !== "ABORTED") return;
  media.stopShare();
  toast("Your screen cannot be shared: it would have to be recorded, and that is not possible now.", { kind: "warning" });
}

function sendScreen() {
  mesh.all().forEach(([, peer]) => peer.updateScreen());
  recorders.forEach((link) => link.updateScreen());
}

// --- recorders -----------------------------------------------------------------------------------
/** `gone`: the recording ended, and took our sessions with it. */
function stopPublishing(recording, { gone }) {
  recorders.get(recording)?.close({ gone });
  recorders.delete(recording);
  showPublishing();
}

/** Recordings that ended while our socket was down. */
function forgetEndedRecorders(publishing) {
  const running = new Set(publishing);
  for (const recording of [...recorders.keys()]) if (!running.has(recording)) stopPublishing(recording, { gone: true });
}

function showPublishing() {
  const states = [...recorders.values()].map(({ state }) => state);
  const worst = ["failed", "connecting", "connected"].find((state) => states.includes(state)) ?? "idle";
  document.body.dataset.publishing = worst;
  byId("publishing-note").textContent = worst === "failed" ? "You are not being recorded: the recorder refused the connection." : "";
}

// --- our own media -------------------------------------------------------------------------------
media.addEventListener("change", () => {
  mesh.all().forEach(([, peer]) => peer.updateCamera());
  recorders.forEach((link) => link.updateCamera());
  tellMedia();
  show();
});
media.addEventListener("screen", () => {
  tellScreen(); // before the tracks, so that nobody takes the screen for a face
  sendScreen(); // nothing, until it is let
  show();
});
mesh.addEventListener("change", () => show());
media.addEventListener("problem", ({ detail }) => problem(detail));

function tellMedia() {
  socket.send({ type: "set_media", microphone: media.microphoneOn, camera: media.cameraOn });
}

function tellScreen() {
  socket.send({ type: "set_screen", stream: media.screen?.id ?? null });
}

// --- the page ------------------------------------------------------------------------------------
function show() {
  pressed("microphone", media.microphoneOn, { on: "Mute your microphone", off: "Unmute your microphone" });
  pressed("camera", media.cameraOn, { on: "Turn your camera off", off: "Turn your camera on" });
  pressed("share", media.screen !== null, { on: "Stop sharing your screen", off: "Share your screen" });
  showPreview();
  if (welcome) tiles.show([...others(), ...own()].sort((a, b) => (b.kind === "screen") - (a.kind === "screen")));
  byId("alone").hidden = !welcome || (members.size > 0 && !held);
}

function showPreview() {
  const preview = byId("preview");
  const shown = media.cameraOn ? media.stream : null; // an empty stream would keep the page "loading" for ever
  if (preview.srcObject !== shown) preview.srcObject = shown;
  preview.parentElement.dataset.camera = media.cameraOn;
  byId("preview-placeholder").textContent = media.cameraOn ? "" : "Your camera is off";
}

function own() {
  const { id, name, role } = welcome.you;
  const common = { participant: id, name, role, self: true, connection: "connected" };
  const camera = { ...common, key: id, kind: "camera", stream: media.stream, microphone: media.microphoneOn, camera: media.cameraOn };
  const screen = { ...common, key: `${id}:screen`, kind: "screen", stream: media.screen, microphone: true, camera: true };
  return media.screen ? [screen, camera] : [camera];
}

function others() {
  return [...members.values()].flatMap((member) => {
    const { id, name, role, screen, microphone, camera } = member;
    const peer = mesh.to(id);
    const streams = [...(peer?.streams.values() ?? [])];
    const connection = peer?.state === "connected" || !member.away ? (peer?.state ?? "new") : "away";
    const common = { participant: id, name, role, self: false, connection };
    const face = streams.find((stream) => stream.id !== screen) ?? null;
    const shown = streams.find((stream) => stream.id === screen) ?? null;
    const tile = { ...common, key: id, kind: "camera", stream: face, microphone, camera };
    return screen ? [{ ...common, key: `${id}:screen`, kind: "screen", stream: shown, microphone: true, camera: true }, tile] : [tile];
  });
}

setInterval(async () => {
  tiles.speaking(await Promise.all(mesh.all().map(async ([id, peer]) => [id, await peer.loudness()])));
}, LEVELS_INTERVAL_MS);

announcement.addEventListener("start", () => socket.send({ type: "start_recording" }));
announcement.addEventListener("stop", () => socket.send({ type: "stop_recording" }));
announcement.addEventListener("available", ({ detail }) => {
  toast("The recording has been saved.", { extra: detail.links.media ? playButton(detail) : null });
});
consent.addEventListener("answer", ({ detail }) => {
  if (!socket.send({ type: "answer_consent", answer: detail })) toast("Your answer was not sent: the connection is down.", { kind: "warning" });
});
chat.addEventListener("say", ({ detail }) => {
  if (!socket.send({ type: "say", text: detail })) toast("Your message was not sent: the connection is down.", { kind: "warning" });
});

onActions({
  microphone: () => media.setMicrophone(!media.microphoneOn),
  camera: () => media.setCamera(!media.cameraOn),
  share: () => (media.screen ? media.stopShare() : media.startShare()),
  panel() {
    chat.toggle();
    if (welcome) askServices();
  },
  backgrounds: () => backgrounds.toggle(),
  snapshot(button) {
    const { participant, kind } = button.closest(".tile").dataset;
    snapshots.take(participant, kind === "screen" ? "screen_share" : "camera");
  },
  leave() {
    hangUp();
    farewell("You have left the call", "");
  },
});

/** End everything here; the server hears of it first. */
function hangUp() {
  socket.close();
  recorders.forEach((link) => link.close());
  recorders.clear();
  mesh.close();
  media.close();
}

document.addEventListener("show-panel", () => chat.toggle(true));

byId("again").onclick = () => location.reload();
byId("join").onclick = () => {
  phase("call");
  socket.open();
};
addEventListener("pagehide", hangUp);
addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // hung up, but shown again

if (!token) farewell("This link is not complete", "Ask for a new link to this call.");
else {
  show();
  byId("join").focus();
  media.open(); // not awaited: the page is loaded while the browser still asks its user
}
