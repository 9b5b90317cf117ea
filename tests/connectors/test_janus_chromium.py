"""A browser publishes in a VideoRoom by Janus' own protocol, with simulcast, and is recorded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from media.check.file import check_file
from tests.connectors.calls import Call
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.janus_server import ROOM, JanusServer, janus_server
from tests.support.stored import stored_media

pytestmark = pytest.mark.slow

SETTINGS = SHORT_FRAGMENTS | {"BYSTANDER_CONNECTORS__TARGETS": '["127.0.0.1"]'}
PUBLISH = """async ([url, room, display]) => {
  const socket = new WebSocket(url, "janus-protocol"), waiting = new Map();
  await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data), answered = waiting.get(message.transaction);
    if (answered && message.janus !== "ack") { waiting.delete(message.transaction); answered(message); }
  };
  let ids = {}, count = 0;
  const ask = (request) => new Promise((answered) => {
    const transaction = `t${count++}`;
    waiting.set(transaction, answered);
    socket.send(JSON.stringify({...request, ...ids, transaction}));
  });
  ids.session_id = (await ask({janus: "create"})).data.id;
  ids.handle_id = (await ask({janus: "attach", plugin: "janus.plugin.videoroom"})).data.id;
  await ask({janus: "message", body: {request: "join", ptype: "publisher", room, display}});
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 1280, height: 720}});
  const pc = new RTCPeerConnection();
  pc.addTransceiver(media.getAudioTracks()[0], {direction: "sendonly"});
  pc.addTransceiver(media.getVideoTracks()[0], {direction: "sendonly", sendEncodings: [
    {rid: "h"}, {rid: "m", scaleResolutionDownBy: 2}, {rid: "l", scaleResolutionDownBy: 4}]});
  await pc.setLocalDescription();
  await new Promise((done) => {
    if (pc.iceGatheringState === "complete") done();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
  });
  const {type, sdp} = pc.localDescription;
  const answer = await ask({janus: "message", body: {request: "publish"}, jsep: {type, sdp}});
  await pc.setRemoteDescription(answer.jsep);
  window.kept = {pc, socket};
}"""


@pytest.fixture
def janus(tmp_path: Path) -> Iterator[JanusServer]:
    with janus_server(tmp_path) as running:
        yield running


async def test_a_browser_in_a_room_is_recorded(tmp_path: Path, janus: JanusServer) -> None:
    with serving(tmp_path / "data", SETTINGS) as server:
        async with (
            ApiClient(server) as api,
            chromium() as browser,
            Visitor(browser, bypass_csp=True, permissions=["camera", "microphone"]) as ada,
        ):
            call = await Call.begun(api, {"kind": "janus", "url": janus.url, "room": ROOM})
            await ada.page.goto(server.base_url + "/healthz")
            await ada.page.evaluate(PUBLISH, [janus.url, ROOM, "Ada"])
            await call.until("Ada")
            await call.grows(3.0)
            recorded = await call.end()
        assert recorded["state"] == "AVAILABLE"
        report = check_file(stored_media(server.data_dir / "recordings", recorded["id"]))
        assert report.ok, report.problems
        async with ApiClient(server) as api:
            kinds = [one["kind"] for one in await api.events(recorded["id"])]
        assert kinds.count("stream_started") == 2
        assert "stream_unreadable" not in kinds
