"""A Peer and a real Chromium, face to face: what its sender makes of our answer and our feedback."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

from media.handover.encoded_frame import Codec
from media.rtp.depacketizers.vp8 import vp8_size
from media.video.decoder import PictureDecoder
from media.video.decoder_limits import MemoryShare
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import MIB
from recorder.kernel.network.media import MediaNetwork
from tests.support.lossy_link import Impairment, LossyLink, without_candidates
from tests.support.recording_sink import RecordingSink

LOOPBACK = MediaNetwork(interfaces=["127.0.0.1"])
ORIGIN = "http://127.0.0.1:9/"  # never connected to: the page is made up, but loopback is a secure context
OPTIONS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
OFFER = """
async ({encodings, codec}) => {
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 1280, height: 720}});
  window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  pc.addTransceiver(media.getAudioTracks()[0], {direction: 'sendonly'});
  pc.addTransceiver(media.getVideoTracks()[0], {direction: 'sendonly', sendEncodings: encodings});
  if (codec) {
    const codecs = RTCRtpSender.getCapabilities('video').codecs;
    pc.getTransceivers()[1].setCodecPreferences(codecs.filter(c => c.mimeType === codec));
  }
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""
ANSWER = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
BANDWIDTH_FOUND = """
async bitrate => [...(await pc.getStats()).values()].some(s => s.availableOutgoingBitrate > bitrate)
"""
LAYERS = [{"rid": "q", "scaleResolutionDownBy": 4}, {"rid": "f"}]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    program = shutil.which("chromium")
    assert program is not None, "Chromium is one of the real parts these tests need"
    options = [*OPTIONS, "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        opened = await browser.new_page()
        await opened.route(ORIGIN, lambda route: route.fulfill(body="<p>", content_type="text/html"))
        await opened.goto(ORIGIN)
        yield opened
        await browser.close()


async def test_one_stream_without_ssrcs_through_loss(page: Page) -> None:
    sink = RecordingSink()
    peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[], network=LOOPBACK)
    bad = Impairment(loss=0.05, delay_s=0.02, jitter_s=0.03)
    async with LossyLink(seed=11, to_receiver=bad) as link:
        offer = await page.evaluate(OFFER, {"encodings": [{}]})
        unsigned = "\r\n".join(line for line in offer.split("\r\n") if not line.startswith("a=ssrc"))
        answer, _ = await peer.accept(without_candidates(unsigned))
        await page.evaluate(ANSWER, await link.through(answer))
        await sink.until(lambda: len(sink.video()) >= 60 and peer.statistics.recovered > 0)
        await sink.until(lambda: len(sink.reports) == 2)
    assert {frame.codec for frame in sink.video()} == {Codec.VP8}
    assert sum(frame.after_loss for frame in sink.video()[5:]) == 0, "every picture was repaired by RTX"
    assert "unroutable" not in peer.statistics.dropped
    await peer.close()


async def test_simulcast_reaches_its_best_layer_and_bandwidth_is_found(page: Page) -> None:
    sink = RecordingSink()
    peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[], network=LOOPBACK)
    answer, _ = await peer.accept(await page.evaluate(OFFER, {"encodings": LAYERS}))
    await page.evaluate(ANSWER, answer)
    await sink.until(lambda: any(vp8_size(frame.data) == (1280, 720) for frame in sink.video()))
    assert sink.names().count("source_changed") <= 1
    await page.wait_for_function(BANDWIDTH_FOUND, arg=1_000_000)
    await peer.close()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), [("video/VP9", Codec.VP9), ("video/AV1", Codec.AV1)])
async def test_costly_codecs_are_taken_where_nothing_else_is_offered(
    page: Page, name: str, codec: Codec
) -> None:
    sink = RecordingSink()
    peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[], network=LOOPBACK)
    answer, _ = await peer.accept(await page.evaluate(OFFER, {"encodings": [{}], "codec": name}))
    await page.evaluate(ANSWER, answer)
    await sink.until(lambda: len(sink.video()) >= 20)
    # As if decoding took no time: a busy machine shall not make the verdict.
    decoder = PictureDecoder(MemoryShare(256 * MIB), pixels_max=1280 * 720, cpu_ns=lambda: 0)
    pictures = [decoder.decode(frame) for frame in sink.video()]
    assert {frame.codec for frame in sink.video()} == {codec}
    assert decoder.dropped == {}
    assert all(picture is not None and 0 < picture.width <= 1280 for picture in pictures)
    await peer.close()
