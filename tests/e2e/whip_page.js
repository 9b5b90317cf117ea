// A publisher in a page of its own, written from RFC 9725 alone: offer at once, trickle by PATCH, end by DELETE.
async ({ url, token }) => {
  const authorization = { Authorization: `Bearer ${token}` };
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
  const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  for (const track of media.getTracks()) connection.addTransceiver(track, { direction: "sendonly", streams: [media] });

  const gathered = [];
  const patched = [];
  let session = null;
  let tag = null;
  const told = { statuses: [], allowed: null };

  const trickle = (lines) =>
    fetch(session, {
      method: "PATCH",
      headers: { ...authorization, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": tag },
      body: lines.join("\r\n") + "\r\n",
    }).then(({ status }) => told.statuses.push(status));

  const fragment = (candidate) => {
    const sdp = connection.localDescription.sdp;
    const [ufrag, pwd] = [/a=ice-ufrag:.*/, /a=ice-pwd:.*/].map((pattern) => sdp.match(pattern)[0].trim());
    return [ufrag, pwd, "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", candidate ? `a=${candidate}` : "a=end-of-candidates"];
  };

  connection.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate === "") return; // of this generation there are no more; null says it for all
    session ? patched.push(trickle(fragment(candidate?.candidate))) : gathered.push(candidate?.candidate);
  };

  await connection.setLocalDescription();
  const offer = connection.localDescription.sdp; // before gathering: hardly a candidate is in it
  const answer = await fetch(url, { method: "POST", headers: { ...authorization, "Content-Type": "application/sdp" }, body: offer });
  told.statuses.push(answer.status);
  session = new URL(answer.headers.get("Location"), answer.url).href;
  tag = answer.headers.get("ETag");
  await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  for (const candidate of gathered) patched.push(trickle(fragment(candidate)));

  if (connection.connectionState !== "connected")
    await new Promise((connected, failed) => {
      connection.onconnectionstatechange = () => {
        if (connection.connectionState === "connected") connected();
        if (connection.connectionState === "failed") failed(new Error("the connection failed"));
      };
    });
  await Promise.all(patched);

  /** New ICE credentials within the same session; resolves to the status, whether the tag is new, and the state. */
  window.restart = async () => {
    const before = connection.currentRemoteDescription.sdp;
    const resource = session;
    session = null; // candidates wait for the new tag
    gathered.length = 0;
    await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
    const answer = await fetch(resource, {
      method: "PATCH",
      headers: { ...authorization, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
      body: fragment(null).slice(0, -1).join("\r\n") + "\r\n",
    });
    const renewed = await answer.text();
    const isNew = answer.headers.get("ETag") !== tag;
    tag = answer.headers.get("ETag");
    const line = (name) => renewed.match(new RegExp(`a=${name}:.*`))[0].trim();
    const candidates = renewed.match(/a=candidate:.*/g).map((one) => one.trim());
    let first = true;
    const sdp = before
      .replace(/a=(candidate:.*|end-of-candidates)\r\n/g, "")
      .replace(/a=ice-ufrag:.*/g, line("ice-ufrag"))
      .replace(/a=ice-pwd:.*/g, () => (first ? ((first = false), [line("ice-pwd"), ...candidates].join("\r\n")) : line("ice-pwd")));
    await connection.setRemoteDescription({ type: "answer", sdp });
    session = resource;
    await Promise.all(gathered.map((candidate) => trickle(fragment(candidate))));
    return [answer.status, isNew, told.statuses.every((status) => status === 201 || status === 204)];
  };

  window.leave = async () => {
    const stale = await fetch(session, {
      method: "PATCH",
      headers: { ...authorization, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"stale"' },
      body: fragment(null).join("\r\n") + "\r\n",
    });
    const ended = await fetch(session, { method: "DELETE", headers: authorization });
    const again = await fetch(session, { method: "DELETE", headers: authorization });
    connection.close();
    return [stale.status, ended.status, again.status];
  };
  return { ...told, candidates: offer.split("a=candidate:").length - 1, link: answer.headers.get("Link"), tag };
};
