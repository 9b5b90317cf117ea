"""Chromium and Firefox as publishers of flash and beep."""

import asyncio
import json
import subprocess
from dataclasses import asdict
from typing import Any

from tests.interop.door import Door
from tests.support.browser import chromium
from tests.support.firefox import PROGRAM, firefox
from tests.support.flashing_browser import PAGE, FlashingPage, flashing

SECONDS = 10
FIREFOX = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Where nobody was asked for a camera, it offers the address of the default route alone; here may be none.
    "media.peerconnection.ice.default_address_only": False,
    "media.peerconnection.ice.no_host": False,
    "media.peerconnection.ice.loopback": True,
}
TIMED = """
async (sdp) => {
  const began = performance.now();
  await connection.setRemoteDescription({ type: "answer", sdp });
  while (connection.connectionState !== "connected") await new Promise((resolve) => setTimeout(resolve, 2));
  return performance.now() - began;
}
"""
SENT = f"""
async () => {{
  const counted = async () => {{
    const stats = [...(await connection.getStats()).values()];
    return stats.find(({{ type, kind }}) => type === "outbound-rtp" && kind === "video")?.framesEncoded ?? 0;
  }};
  await new Promise((resolve) => setTimeout(resolve, {SECONDS * 1000}));
  return counted();
}}
"""
QUIET = """
async () => { connection.close(); return 1; }
"""


def _page(codec: str) -> FlashingPage:
    return FlashingPage(interval_s=1.0, codec=f"video/{codec}")


async def in_chromium(door: Door, codec: str) -> dict[str, Any]:
    """What Chromium says of ten seconds in that codec."""
    async with chromium() as browser, flashing(browser, _page(codec)) as (page, offer):
        connected_ms = await page.evaluate(TIMED, await door.publish(offer))
        sent = await page.evaluate(SENT)
        await page.evaluate(QUIET)
        return {"version": browser.version, "connected_ms": connected_ms, "sent": sent}


async def in_firefox(door: Door, codec: str) -> dict[str, Any]:
    """Likewise Firefox, whose page is Marionette's blank one."""
    asked = await asyncio.to_thread(subprocess.check_output, [PROGRAM, "--version"], text=True)
    async with firefox(**FIREFOX) as browser:
        await browser.call("WebDriver:SetTimeouts", script=60_000)
        made = json.dumps(asdict(_page(codec)))
        offer = await browser.evaluate(f"async (made) => ({PAGE.strip()})(JSON.parse(made))", made)
        connected_ms = await browser.evaluate(TIMED.strip(), await door.publish(offer))
        sent = await browser.evaluate(SENT.strip())
        await browser.evaluate(QUIET.strip())
        return {"version": asked.split()[-1], "connected_ms": connected_ms, "sent": sent}
