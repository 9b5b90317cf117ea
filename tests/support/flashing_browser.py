"""Chromium as a publisher whose page flashes and beeps at the same instants of one audio context.

The page draws what the context's own clock says, so a context that stands still delays both alike: a flash
and its beep always belong together, whatever the sender's sound clock does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from playwright.async_api import Browser, Page

ORIGIN = "http://127.0.0.1:9/"  # never connected to: the page is made up, but loopback is a secure context
PAGE = r"""
async ({ width, height, fps, rate, first_s, interval_s, length_s, hertz, codec, nack }) => {
  const open = (rate, first_s) => {
    const context = new AudioContext(rate ? { sampleRate: rate } : {});
    const sound = context.createMediaStreamDestination();
    const gain = context.createGain(), tone = context.createOscillator();
    gain.gain.value = 0;
    tone.frequency.value = hertz;
    tone.connect(gain).connect(sound);
    tone.start();
    const zero = context.currentTime + first_s;
    for (let number = 0; number < 400; number++) {
      const at = zero + number * interval_s;
      gain.gain.setValueAtTime(0.5, at);
      gain.gain.setValueAtTime(0, at + length_s);
    }
    return { context, zero, track: sound.stream.getAudioTracks()[0] };
  };
  let device = open(rate, first_s), before = 0;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const ink = canvas.getContext("2d");
  const pictures = canvas.captureStream(0), [track] = pictures.getVideoTracks();
  let number = 0, drawing = true, beat = null;
  const draw = () => {
    if (!drawing) return;
    const since = device.context.currentTime - device.zero;
    const lit = since >= 0 && since % interval_s < length_s;
    ink.fillStyle = lit ? "#fff" : "#222";
    ink.fillRect(0, 0, width, height);
    ink.fillStyle = "#666";
    ink.fillRect((number++ * 4) % width, height - 24, 8, 24);
    (track.requestFrame ? track : pictures).requestFrame(); // Firefox has it on the stream
  };
  beat = setInterval(draw, 1000 / fps);
  const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const voice = connection.addTransceiver(device.track, { direction: "sendonly" });
  const camera = connection.addTransceiver(track, { direction: "sendonly" });
  const known = RTCRtpSender.getCapabilities("video").codecs;
  const wanted = known.filter(({ mimeType }) => mimeType === codec || mimeType === "video/rtx");
  camera.setCodecPreferences(wanted);
  Object.assign(window, { connection, voice, camera, track });
  const passed = () => Math.max(0, Math.floor((device.context.currentTime - device.zero) / interval_s) + 1);
  window.events = () => before + passed();
  window.replace = async (rate) => {
    const old = device, next = open(rate, interval_s);
    before += passed();
    await voice.sender.replaceTrack(next.track);
    device = next;
    await old.context.close();
  };
  window.stutter = (length_ms, every_ms) => {
    const pause = async () => {
      const { context } = device;
      await context.suspend();
      setTimeout(() => context.resume(), length_ms);
    };
    window.stuttering = setInterval(pause, every_ms);
  };
  window.freeze = (on) => { drawing = !on; };
  window.draw_every = (interval_ms) => {
    clearInterval(beat);
    beat = setInterval(draw, interval_ms);
  };
  const offered = await connection.createOffer();
  const known_sound = /(a=rtpmap:(\d+) (?:opus|red)\/48000\/2\r\n)/g;
  const asked = nack ? offered.sdp.replace(known_sound, "$1a=rtcp-fb:$2 nack\r\n") : offered.sdp;
  await connection.setLocalDescription({ type: "offer", sdp: asked });
  return connection.localDescription.sdp;
}
"""
ANSWER = "sdp => connection.setRemoteDescription({ type: 'answer', sdp })"


@dataclass(frozen=True)
class FlashingPage:
    """What the page shows and plays; `rate` is that of its audio context, the machine's own where it is 0."""

    width: int = 320
    height: int = 240
    fps: int = 25
    rate: int = 0
    first_s: float = 0.6
    interval_s: float = 0.8
    length_s: float = 0.08
    hertz: float = 1000.0
    codec: str = "video/VP8"
    nack: bool = False  # asks for lost sound again


@asynccontextmanager
async def flashing(browser: Browser, made: FlashingPage) -> AsyncIterator[tuple[Page, str]]:
    """A page that is ready to publish, and its offer; `ANSWER` takes what it is answered with."""
    page = await browser.new_page()
    await page.route(ORIGIN, lambda route: route.fulfill(body="<p>", content_type="text/html"))
    await page.goto(ORIGIN)
    offer = await page.evaluate(PAGE, asdict(made))
    try:
        yield page, offer
    finally:
        await page.close()


async def connected(page: Page, answer: str) -> None:
    """Take the answer, and wait until media flows."""
    await page.evaluate(ANSWER, answer)
    async with asyncio.timeout(20):
        while await page.evaluate("connection.connectionState") != "connected":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
