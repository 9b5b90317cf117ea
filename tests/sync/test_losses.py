"""What a network loses: asked for again where the sender answers, hidden where it does not."""

import asyncio
import io
import logging
from functools import cache
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt
import pytest

from media.handover.encoded_frame import Codec
from media.rtp.receiver import KEYFRAME_REQUEST_NS_MIN
from recorder.kernel.media import Canvas
from recorder.kernel.recording import RecordingPlan
from tests.support.encoded_source import FLASH_S, plain
from tests.support.live_call import (
    FPS,
    LEAD_IN_S,
    SIZE,
    LiveCall,
    Performance,
    Recorded,
    Script,
    event_times,
)
from tests.support.lossy_link import Impairment
from tests.support.simulated_time import SimulatedTimeLoop, simulate
from tests.sync.scenarios import NEAR

logger = logging.getLogger(__name__)

QUICK_S, MINUTE_S = 6.0, 60.0
SETTLED_S = 1.0  # a call's very first packets may be lost before anybody knows that there are any
LOSS = 0.05
MISSING_MAX = 0.005  # of the pictures, where lost packets can be asked for again
SMEAR_LEVELS_MAX = 6.0  # mean error of a picture; coding noise is under 3, a bar that was left behind over 8
STALL_S_MAX = 1.1  # without retransmissions: the widest margin, and the wait for what was overtaken
PLI_UNDER_WAY_S = 0.1
CUT_S = 2.0
PLI_S_MAX = 0.5  # from the loss of two pictures: what is late is waited for 250 ms, and sockets have a beat
HELD_UP_S = 1.2  # longer than retransmissions are waited for
BEGINNING_PICTURES_MAX = FPS // 2  # the recording's zero is the first picture that came whole
HELD_PICTURES_MAX = 3 * FPS  # a key frame is asked for every half second, and may get lost too
PLAN = RecordingPlan(
    recording="rec", conversation="conv", canvas=Canvas(width=SIZE[0], height=SIZE[1]), bind_host="127.0.0.1"
)


def bad() -> Impairment:
    return Impairment(loss=LOSS, delay_s=0.02, jitter_s=0.06)


async def hold(script: Script, seconds: float) -> tuple[Recorded, float]:
    """Record one participant; return also how far the recording was behind 95 % of the time."""
    async with LiveCall(seed=5, plan=PLAN) as call:
        publisher, _ = await call.join(script)
        zero_s = asyncio.get_running_loop().time() + LEAD_IN_S
        acting = Performance(script, seconds, zero_s)
        behind_s: list[float] = []

        async def watch() -> None:
            while (at_s := asyncio.get_running_loop().time() - zero_s) < seconds - 0.2:
                if at_s > 2.5:
                    behind_s.append(at_s - call.engine.statistics().duration_s)
                await asyncio.sleep(0.02)

        await asyncio.gather(acting.run(publisher), watch())
        await asyncio.sleep(0.3)
        recorded = await call.recorded()
    recorded.sent_pictures, recorded.late_s = [acting.sent_pictures], acting.late_s
    return recorded, float(np.percentile(behind_s, 95))


def hold_all(scripts: list[Script], seconds: float) -> list[tuple[Recorded, float]]:
    """Several calls at once, in simulated time."""

    async def calls() -> list[tuple[Recorded, float]]:
        return await asyncio.gather(*(hold(script, seconds) for script in scripts))

    return simulate(calls())


def test_losses_are_made_up_for_or_hidden() -> None:
    codecs = (Codec.VP8, Codec.H264)
    quiet = Script(name="quiet", link=Impairment(loss=LOSS), retransmission=False, pictures=())
    scripts = [*map(answering, codecs), *map(deaf, codecs), quiet]
    *with_it, (vp8, vp8_behind_s), (h264, h264_behind_s), (unseen, _) = hold_all(scripts, QUICK_S)
    for recorded, _ in with_it:
        assert_nothing_is_missing(recorded)
    for recorded in (vp8, h264):
        assert_nothing_is_smeared(recorded)
    assert max(vp8_behind_s, h264_behind_s) <= STALL_S_MAX
    assert_sound_is_concealed(unseen, quiet)


async def cut_once(script: Script) -> tuple[Recorded, list[float]]:
    """A call whose link loses all for a moment; return also when key frames were asked for after it."""
    async with LiveCall(plan=PLAN) as call:
        publisher, _ = await call.join(script)
        cut_at_s = asyncio.get_running_loop().time() + LEAD_IN_S + CUT_S
        acting = Performance(script, QUICK_S, cut_at_s - CUT_S)

        async def cut() -> None:
            await asyncio.sleep(LEAD_IN_S + CUT_S)
            call.links[0].cut = True
            publisher.camera.asked_for_keyframe_at.clear()
            await asyncio.sleep(2 / FPS)
            call.links[0].cut = False

        await asyncio.gather(acting.run(publisher), cut())
        return await call.recorded(), [at - cut_at_s for at in publisher.camera.asked_for_keyframe_at]


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
def test_a_key_frame_is_asked_for_once_as_soon_as_a_reference_is_lost(codec: Codec) -> None:
    script = Script(codec=codec, retransmission=False, link=NEAR, back=NEAR)
    recorded, asked_after_s = simulate(cut_once(script))
    logger.info("%s: asked for %s ms after the loss", codec, np.round(np.multiply(1e3, asked_after_s)))
    assert len(asked_after_s) == 1
    assert asked_after_s[0] <= PLI_S_MAX
    times_s = [at_s for at_s, _ in pictures(recorded.data)]
    assert max(later - earlier for earlier, later in pairwise(times_s)) <= PLI_S_MAX + 3 / FPS


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
def test_a_minute_of_losses(codec: Codec) -> None:
    (with_it, _), (without_it, behind_s) = hold_all([answering(codec), deaf(codec)], MINUTE_S)
    assert_nothing_is_missing(with_it)
    assert_nothing_is_smeared(without_it)
    logger.info("%s without retransmission: 95 %% of the time at most %.2f s behind", codec, behind_s)
    assert behind_s <= STALL_S_MAX


def answering(codec: Codec) -> Script:
    """Sends again what is asked for."""
    return Script(codec=codec, link=bad(), back=Impairment(delay_s=0.02))


def deaf(codec: Codec) -> Script:
    """Hears only that a key frame is wanted."""
    return Script(codec=codec, link=bad(), retransmission=False)


def assert_nothing_is_missing(recorded: Recorded) -> None:
    received = recorded.statistics.participants[0]
    assert received.recovered > 5
    times_s = [at_s for at_s, _ in pictures(recorded.data) if at_s >= SETTLED_S]
    missing = sum(round((later - earlier) * FPS) - 1 for earlier, later in pairwise(times_s))
    logger.info("%d of %d pictures missing, %s", missing, len(times_s) + missing, received)
    assert missing <= MISSING_MAX * len(times_s), received


def assert_nothing_is_smeared(recorded: Recorded) -> None:
    received, dropped = recorded.statistics.participants[0], recorded.statistics.dropped
    shown = [(at_s, picture) for at_s, picture in pictures(recorded.data) if at_s >= SETTLED_S]
    errors = [error(picture, at_s) for at_s, picture in shown]
    held_s = max(later - earlier for (earlier, _), (later, _) in pairwise(shown))
    logger.info("%d pictures, error at most %.1f, held at most %.2f s", len(shown), max(errors), held_s)
    assert received.lost > 3
    assert dropped["video_without_keyframe"] > 0
    assert len(shown) > FPS
    assert max(errors) <= SMEAR_LEVELS_MAX
    asked_at = recorded.publishers[0].camera.asked_for_keyframe_at
    assert len(asked_at) >= 3
    assert float(np.min(np.diff(asked_at))) >= KEYFRAME_REQUEST_NS_MIN / 1e9 - PLI_UNDER_WAY_S


def assert_sound_is_concealed(recorded: Recorded, script: Script) -> None:
    """Every beep is there and in its place though packets never came."""
    assert recorded.statistics.participants[0].lost > 5
    found = recorded.of([script], 0)
    errors = np.subtract(found.beeps_s, event_times(QUICK_S))
    assert np.ptp(errors) <= 0.02, errors


def pictures(data: bytes) -> list[tuple[float, npt.NDArray[np.uint8]]]:
    """Time and planes of every picture in a file."""
    with av.open(io.BytesIO(data), "r") as container:
        return [(float(frame.time or 0.0), frame.to_ndarray()) for frame in container.decode(video=0)]


def error(picture: npt.NDArray[np.uint8], at_s: float) -> float:
    """How far a picture's upper half, and its colours, are from the nearest one that was sent, in levels."""
    height = SIZE[1]
    colour = float(np.abs(picture[height:].astype(int) - 128).mean())
    upper = picture[: height // 2 : 4].astype(int)
    newest = round(at_s * FPS) + BEGINNING_PICTURES_MAX
    sent = (bars(number) for number in range(max(0, newest - HELD_PICTURES_MAX), newest + 1))
    return max(colour, min(float(np.abs(upper - one).mean()) for one in sent))


@cache
def bars(number: int) -> npt.NDArray[np.int_]:
    """The lines of the picture of that number, as it was sent."""
    at_s = number / FPS
    lit = any(flash - 1e-6 <= at_s < flash + FLASH_S - 1e-6 for flash in event_times(60.0))
    return plain(SIZE, 235 if lit else 16, bar=number * 4).to_ndarray()[:1].astype(int)


def test_what_waits_in_the_sockets_of_a_held_up_process_is_not_lost() -> None:
    async def hold_up() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedTimeLoop)
        for _ in range(2):
            await asyncio.sleep(2.0)
            loop.stand_still(HELD_UP_S)

    async def call() -> Recorded:
        (recorded, _), _ = await asyncio.gather(hold(answering(Codec.VP8), 2 * QUICK_S), hold_up())
        return recorded

    received = simulate(call()).statistics.participants[0]
    assert received.recovered > 5
    assert received.lost == 0
