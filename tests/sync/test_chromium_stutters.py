"""Real Chromium whose sound stutters, starves or sleeps, judged by the flashes and beeps in the file."""

import asyncio
import io
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import psutil
import pytest
from playwright.async_api import Browser, Page

from media.check.av_offset import AvOffset, measure
from media.engine import Engine
from recorder.kernel.clock import SystemClock
from recorder.kernel.media import Canvas, Fragment, Publisher
from recorder.kernel.recording import RecordingPlan
from tests.support.browser import chromium
from tests.support.flashing_browser import FlashingPage, connected, flashing

logger = logging.getLogger(__name__)

STUTTER_EVERY_MS = 1300
SETTLED_S = 3.0  # Chromium reports its voice after some two and a half seconds
UNDER_WAY_S = 0.05  # of a beep whose flash was drawn, and which is in no packet yet when its clock stops
CHANGED_AFTER_S = 6.0
HIDDEN_TIMER_MS = 1000
BACK_EVENTS = 5  # the last of a call, after whatever happened in the middle of it
P95_S_MAX, MAX_S = 0.040, 0.100
PLAN = RecordingPlan(
    recording="rec", conversation="conv", canvas=Canvas(width=320, height=240), bind_host="127.0.0.1"
)


@dataclass(frozen=True)
class Made:
    """What a page's call came to: its flashes and beeps in the file, and how many there were."""

    found: AvOffset
    events: int


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


async def call(
    browser: Browser, seconds: float, disturb: Callable[[Page], Awaitable[None]], made: FlashingPage
) -> Made:
    """Record a page for so long while it is disturbed."""
    fragments: list[Fragment] = []
    engine = Engine(
        PLAN,
        write=lambda fragment: None if fragment.provisional else fragments.append(fragment),
        on_event=lambda event: None,
        clock=SystemClock(),
    )
    await engine.start()
    async with flashing(browser, made) as (page, offer):
        answer, _ = await engine.publish("s1", Publisher(participant="ada", name="Ada"), offer)
        await connected(page, answer)
        disturbing = asyncio.create_task(disturb(page))
        await asyncio.sleep(seconds)
        events = await page.evaluate("events()")
        disturbing.cancel()
    await engine.stop()
    found = measure(io.BytesIO(b"".join(fragment.data for fragment in fragments)), hertz=made.hertz)
    logger.info("%d events, offsets in ms: %s", events, [round(1e3 * offset) for offset in found.offsets_s])
    return Made(found, events)


def stutter(length_ms: int) -> Callable[[Page], Awaitable[None]]:
    """Suspend the page's audio context again and again."""

    async def disturb(page: Page) -> None:
        await page.evaluate(f"stutter({length_ms}, {STUTTER_EVERY_MS})")

    return disturb


def starve(length_s: float, every_s: float) -> Callable[[Page], Awaitable[None]]:
    """Keep the processor from all of the browser again and again."""

    async def disturb(page: Page) -> None:
        family = psutil.Process().children(recursive=True)
        browsers = [process for process in family if "chrom" in process.name()]
        while True:
            await asyncio.sleep(every_s)
            for process in browsers:
                process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(length_s)
            finally:
                for process in browsers:
                    process.send_signal(signal.SIGCONT)

    return disturb


def assert_in_sync(made: Made, *, lost_max: int = 2, max_s: float = MAX_S, apart_max: int = 0) -> None:
    """All flashes and beeps are there, but for those of the first and the last moment, and together.

    `apart_max`: so many beside the 5 % that any call has may be further apart than P95_S_MAX.
    """
    found = made.found
    settled = [
        abs(offset)
        for flash_s, offset in zip(found.flashes_s, found.offsets_s, strict=False)
        if flash_s > SETTLED_S
    ]
    assert len(found.offsets_s) >= made.events - lost_max, made
    assert sorted(settled)[int(0.95 * (len(settled) - 1)) - apart_max] <= P95_S_MAX, made
    assert max(settled) <= max_s, made


@pytest.mark.parametrize("length_ms", [40, pytest.param(300, marks=pytest.mark.slow)])
async def test_a_sound_context_that_stutters(browser: Browser, length_ms: int) -> None:
    assert_in_sync(await call(browser, 10.0, stutter(length_ms), FlashingPage()))


@pytest.mark.slow
@pytest.mark.parametrize("length_ms", [20, 100, 300])
@pytest.mark.parametrize("rate", [0, 16_000, 44_100])
async def test_a_sound_context_that_stutters_for_long(browser: Browser, length_ms: int, rate: int) -> None:
    made = await call(browser, 20.0, stutter(length_ms), FlashingPage(rate=rate))
    assert_in_sync(made, max_s=max(MAX_S, length_ms / 1000 + UNDER_WAY_S), apart_max=1)


@pytest.mark.slow
@pytest.mark.parametrize(("length_s", "every_s"), [(0.5, 2.0), (5.0, 6.0)])
async def test_a_browser_without_a_processor(browser: Browser, length_s: float, every_s: float) -> None:
    assert_in_sync(await call(browser, 20.0, starve(length_s, every_s), FlashingPage()), lost_max=4)


@pytest.mark.slow
async def test_a_browser_that_stands_still_all_the_time(browser: Browser) -> None:
    """What the sound device takes while it stops is in a packet that comes after it (docs/sync.md)."""
    made = await call(browser, 20.0, starve(0.1, 0.5), FlashingPage())
    assert_in_sync(made, lost_max=4, max_s=0.1 + UNDER_WAY_S, apart_max=2)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [16_000, 44_100])
async def test_another_device_in_mid_call(browser: Browser, rate: int) -> None:
    async def disturb(page: Page) -> None:
        await asyncio.sleep(CHANGED_AFTER_S)
        await page.evaluate(f"replace({rate})")
        await asyncio.sleep(CHANGED_AFTER_S)
        await page.evaluate("replace(0)")

    assert_in_sync(await call(browser, 18.0, disturb, FlashingPage()))


@pytest.mark.slow
async def test_a_tab_in_the_background(browser: Browser) -> None:
    """Timers of a hidden page run once a second, so flashes are missed; sound goes on, and both come back.

    A browser without a window hides no page, so its page does itself what hiding would do to it.
    """

    async def disturb(page: Page) -> None:
        await asyncio.sleep(CHANGED_AFTER_S)
        await page.evaluate(f"draw_every({HIDDEN_TIMER_MS})")
        await asyncio.sleep(CHANGED_AFTER_S)
        await page.evaluate("draw_every(1000 / 25)")

    made = await call(browser, 18.0, disturb, FlashingPage())
    assert len(made.found.beeps_s) >= made.events - 2, made
    assert max(map(abs, made.found.offsets_s[-BACK_EVENTS:])) <= MAX_S, made
