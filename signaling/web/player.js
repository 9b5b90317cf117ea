/** Playing a recording, in a dialogue over the page. */

const byId = (id) => document.getElementById(id);

/** Minutes and seconds, with hours where there are some. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${two(minutes)}:${two(whole % 60)}`;
}

/** Bytes for people. */
export function sizeOf(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A button that opens the player with this recording. */
export function playButton(notice) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.dataset.action = "play";
  button.textContent = "Play";
  button.onclick = () => play(notice);
  return button;
}

/** Open the player; `links.media` needs no header. */
export function play({ links, filename, duration_s }) {
  const video = byId("player-video");
  byId("player-title").textContent = filename ?? (duration_s == null ? "Recording" : `Recording, ${clock(duration_s)}`);
  byId("player-download").href = `${links.media}&download=true`;
  byId("player-download").download = filename ?? "";
  byId("player-note").textContent = "";
  video.onerror = () => (byId("player-note").textContent = "This recording cannot be played here. Download it instead.");
  video.src = links.media;
  const dialog = byId("player");
  byId("player-close").onclick = () => dialog.close();
  dialog.onclose = () => {
    video.onerror = null;
    video.removeAttribute("src");
    video.load(); // lets the connection go
  };
  dialog.showModal();
  video.play().catch(() => {}); // the browser wants a click first: the controls are there
}
