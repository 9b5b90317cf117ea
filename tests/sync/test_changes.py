"""Nothing ends by accident: what changes or breaks in mid-call is recorded through, in sync, and told."""

import asyncio
import io
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import av
import pytest

from media.check.av_offset import AvOffset
from media.handover.encoded_frame import Codec
from recorder.kernel.media import MediaEvent
from tests.support.live_call import LEAD_IN_S, SIZE, LiveCall, Performance, Recorded, Script, perform
from tests.support.simulated_time import simulate
from tests.sync.scenarios import CALL_S, CLEAN, NEAR

SECONDS, CHANGE_S, CHANGE_BACK_S = 6.0, 2.6, 4.2  # between two events
SMALL = (160, 120)
ADA = Script(name="ada", skew_ppm=100)
ASKED_AGAIN_S_MAX = 1.1  # the end of what was lost in a gap is still asked for when it is over
P95_S_MAX, MAX_S = 0.020, 0.045


class Stage:
    """A call with one participant whose streams a test plays in pieces."""

    def __init__(self, call: LiveCall, script: Script, seconds: float) -> None:
        self.call, self.script, self.seconds = call, script, seconds

    async def open(self, **options: Any) -> None:
        self.publisher, self.session = await self.call.join(self.script, **options)
        self.link = self.call.links[-1]
        self.zero_s = asyncio.get_running_loop().time() + LEAD_IN_S
        self.acting = Performance(self.script, self.seconds, self.zero_s)

    async def until(self, at_s: float) -> None:
        await asyncio.sleep(self.zero_s + at_s - asyncio.get_running_loop().time())

    async def speak(self, from_s: float = 0.0, to_s: float = 1e9) -> None:
        assert self.publisher.sound is not None
        await self.acting.speak(self.publisher, self.publisher.sound, from_s, to_s)

    async def show(self, from_s: float = 0.0, to_s: float = 1e9, layer: int = 0, **how: Any) -> None:
        await self.acting.show(self.publisher, self.publisher.layers[layer], from_s, to_s, **how)


async def together(*acts: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for act in acts:
            group.create_task(act)


async def the_codec() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, ADA, SECONDS)
        await stage.open()

        async def show() -> None:
            await stage.show(to_s=CHANGE_S, codec=Codec.VP8)
            await stage.show(CHANGE_S, CHANGE_BACK_S, codec=Codec.H264)
            await stage.show(CHANGE_BACK_S, codec=Codec.VP8)

        await together(stage.speak(), show())
        return await call.recorded()


async def the_size() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, ADA, SECONDS)
        await stage.open()

        async def show() -> None:
            await stage.show(to_s=CHANGE_S)
            await stage.show(CHANGE_S, CHANGE_BACK_S, size=SMALL)
            await stage.show(CHANGE_BACK_S)

        await together(stage.speak(), show())
        return await call.recorded()


async def both_ssrcs() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, ADA, SECONDS)
        await stage.open()
        await together(stage.speak(to_s=CHANGE_S), stage.show(to_s=CHANGE_S))
        publisher = stage.publisher
        assert publisher.sound is not None
        publisher.sound, publisher.layers[0] = (
            publisher.renew(publisher.sound),
            publisher.renew(publisher.camera),
        )
        await together(stage.speak(CHANGE_S), stage.show(CHANGE_S))
        return await call.recorded()


async def the_layer() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, ADA, SECONDS)
        await stage.open(rids=("low", "high"))
        await together(
            stage.speak(),
            stage.show(layer=0, size=SMALL),
            stage.show(to_s=CHANGE_S, layer=1, size=SIZE),
        )
        return await call.recorded()


async def a_track_never_sends() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, ADA, SECONDS)
        await stage.open()
        await stage.speak()
        return await call.recorded()


async def the_network_is_gone(gap_s: float) -> Recorded:
    seconds = CHANGE_S + gap_s + 3.2
    async with LiveCall() as call:
        stage = Stage(call, ADA, seconds)
        await stage.open()

        async def cut() -> None:
            await stage.until(CHANGE_S)
            stage.link.cut = True
            await stage.until(CHANGE_S + gap_s)
            stage.link.cut = False

        await together(stage.speak(), stage.show(), cut())
        return await call.recorded()


async def ice_is_restarted() -> Recorded:
    async with LiveCall() as call:
        stage = Stage(call, replace(ADA, link=NEAR, back=NEAR), SECONDS)
        await stage.open()

        async def restart() -> None:
            await stage.until(CHANGE_S)
            fragment = await stage.publisher.new_ice_session()
            restarted = await call.engine.trickle(stage.session, fragment, "*")
            assert restarted is not None
            await stage.publisher.move_to(await stage.link.through(restarted[0]))

        await together(stage.speak(), stage.show(), restart())
        return await call.recorded()


async def every_change() -> dict[str, Recorded]:
    async with asyncio.TaskGroup() as calls:
        made = {
            "codec": calls.create_task(the_codec()),
            "size": calls.create_task(the_size()),
            "ssrc": calls.create_task(both_ssrcs()),
            "layer": calls.create_task(the_layer()),
            "silent": calls.create_task(a_track_never_sends()),
            "gap": calls.create_task(the_network_is_gone(3.2)),
            "ice": calls.create_task(ice_is_restarted()),
            "muted": calls.create_task(perform(CLEAN["muted_and_unmuted"], CALL_S)),
            "camera": calls.create_task(perform(CLEAN["camera_off_and_on"], CALL_S)),
            "rejoined": calls.create_task(perform(CLEAN["leaves_and_comes_back"], CALL_S)),
        }
    return {name: task.result() for name, task in made.items()}


def test_changes_in_mid_call() -> None:
    made = simulate(every_change())
    for name in ("codec", "size", "ssrc", "ice"):
        assert_in_sync(made[name], pairs=7)
    assert_in_sync(made["layer"], pairs=5)  # which layer is best is decided once a second
    assert told(made["codec"], "codec_changed") == [
        ("h264", pytest.approx(CHANGE_S, abs=0.1)),
        ("vp8", pytest.approx(CHANGE_BACK_S, abs=0.1)),
    ]
    sizes = [(event.detail["width"], round(event.at_s, 1)) for event in of_kind(made["size"], "size_changed")]
    assert sizes == [(320, 0.0), (160, 2.6), (320, 4.2)]
    layers = [event.detail["width"] for event in of_kind(made["layer"], "size_changed")]
    assert layers[-1] == 160
    assert_silence_and_sound_go_on(made["silent"])
    assert_gap(made["gap"], gap_s=3.2)
    for recorded in made.values():
        assert {"failed", "degraded"}.isdisjoint(recorded.kinds())
    assert made["ice"].kinds().count("left") == 1
    assert "gap_started" not in made["ice"].kinds()
    for name in ("muted", "camera"):
        (muted,), (unmuted,) = of_kind(made[name], "muted"), of_kind(made[name], "unmuted")
        assert (muted.at_s, unmuted.at_s) == (pytest.approx(3.0, abs=0.1), pytest.approx(5.5, abs=0.1))
        assert muted.detail["stream"] == unmuted.detail["stream"]
    of_bob = [event for event in made["rejoined"].events if event.participant == "bob"]
    came_and_went = [event for event in of_bob if event.kind in ("joined", "left")]
    in_order = sorted(came_and_went, key=lambda event: event.at_s)
    assert [event.kind for event in in_order] == ["joined", "left"] * 2


def test_ten_seconds_without_a_network() -> None:
    assert_gap(simulate(the_network_is_gone(10.0)), gap_s=10.0)


def assert_in_sync(recorded: Recorded, *, pairs: int) -> AvOffset:
    found = recorded.of([ADA], 0)
    assert len(found.offsets_s) >= pairs, found
    assert found.p95_s <= P95_S_MAX, found
    assert found.max_s <= MAX_S, found
    return found


def assert_gap(recorded: Recorded, *, gap_s: float) -> None:
    """Silence and a held or placeholder picture while nothing came, and everything in its place after."""
    found = assert_in_sync(recorded, pairs=6)
    after = [at_s for at_s in found.beeps_s if at_s > CHANGE_S]
    assert after[0] >= CHANGE_S + gap_s - ASKED_AGAIN_S_MAX
    (started,), (ended,) = of_kind(recorded, "gap_started"), of_kind(recorded, "gap_ended")
    assert started.at_s == pytest.approx(CHANGE_S, abs=0.2)
    assert ended.at_s == pytest.approx(CHANGE_S + gap_s, abs=0.3)
    assert len(set(recorded.kinds()) & {"left"}) == 1
    assert seconds_of(recorded) == pytest.approx(CHANGE_S + gap_s + 3.2, abs=0.2)


def assert_silence_and_sound_go_on(recorded: Recorded) -> None:
    """The tile of who never sends a picture is a placeholder, and the sound is all there."""
    found = recorded.of([ADA], 0)
    assert len(found.beeps_s) >= 7
    assert found.flashes_s == []
    assert seconds_of(recorded) == pytest.approx(SECONDS, abs=0.2)


def of_kind(recorded: Recorded, kind: str) -> list[MediaEvent]:
    return [event for event in recorded.events if event.kind == kind]


def told(recorded: Recorded, kind: str) -> list[tuple[str, float]]:
    return [(event.detail["codec"], event.at_s) for event in of_kind(recorded, kind)]


def seconds_of(recorded: Recorded) -> float:
    with av.open(io.BytesIO(recorded.data), "r") as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / 48_000
