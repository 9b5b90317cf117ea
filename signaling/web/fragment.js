/** SDP fragments of trickle ICE (RFC 8840), as WHIP carries them (RFC 9725). Pure functions on text. */

/** What a PATCH says: our ICE credentials and candidates, under the first media section. */
export function iceFragment(sdp, candidates, { complete }) {
  const media = find(sdp, "m=");
  const lines = [
    find(sdp, "a=group:BUNDLE"),
    media,
    find(sdp.slice(sdp.indexOf(media)), "a=mid:"),
    find(sdp, "a=ice-ufrag:"),
    find(sdp, "a=ice-pwd:"),
    ...candidates.map((candidate) => `a=${candidate}`),
    complete ? "a=end-of-candidates" : null,
  ];
  return lines.filter(Boolean).map((line) => `${line}\r\n`).join("");
}

/** The remote description with the credentials and candidates of `fragment`, the answer to an ICE restart. */
export function withRestartedIce(sdp, fragment) {
  const ufrag = find(fragment, "a=ice-ufrag:");
  const pwd = find(fragment, "a=ice-pwd:");
  if (!ufrag || !pwd) throw new Error("The answer to the ICE restart has no credentials.");
  const candidates = lines(fragment).filter((line) => line.startsWith("a=candidate:"));
  const kept = lines(sdp)
    .filter((line) => !line.startsWith("a=candidate:") && line !== "a=end-of-candidates")
    .map((line) => (line.startsWith("a=ice-ufrag:") ? ufrag : line.startsWith("a=ice-pwd:") ? pwd : line));
  // Everything is bundled, so the candidates belong to the first section: before the second one's m= line.
  const second = kept.findIndex((line, index) => line.startsWith("m=") && index > kept.findIndex((l) => l.startsWith("m=")));
  kept.splice(second < 0 ? kept.length : second, 0, ...candidates);
  return kept.map((line) => `${line}\r\n`).join("");
}

function lines(sdp) {
  return sdp.split(/\r?\n/).filter(Boolean);
}

function find(sdp, prefix) {
  return lines(sdp).find((line) => line.startsWith(prefix)) ?? null;
}
