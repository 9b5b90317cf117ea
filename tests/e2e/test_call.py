"""A whole call through a real server: people come, share and leave, and the file shows and sounds like it."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media.check.av_offset import Region, measure
from media.check.file import check_file
from media.video.layout import Rectangle, Tile, arrange, fit
from recorder.demo.scene import Colour
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, SourceKind
from tests.support import oracle
from tests.support.api_client import ApiClient
from tests.support.flash_beep import FlashBeep, live_tracks
from tests.support.participants import Card, camera, joined, microphone, screen
from tests.support.pictures import colour_in, picture_at
from tests.support.server import RunningServer
from tests.support.sounds import soundtrack
from tests.support.stored import stored_events, stored_media

PHASE_S = 1.5  # more than a fragment, so that every phase is seen to be written before the next begins
COLOUR_ERROR_MAX = 24  # of 255: 4:2:0, limited range and two lossy encodings
OFFSET_S_MAX = 0.040
FIRST_PICTURE_S_MAX = 0.3
FLASHING_S = 8.0
FLASH_INTERVAL_S = 0.8
GROWS_AFTER_S = 2.0
RED: Colour = (200, 40, 40)
GREEN: Colour = (40, 180, 60)
BLUE: Colour = (50, 70, 200)
ANNA_HZ, BRUNO_HZ, CLEO_HZ = 500, 900, 1700


@dataclass(frozen=True)
class Person:
    participant: str
    name: str
    source: SourceKind = SourceKind.CAMERA
    colour: Colour | None = None
    width: int = 320
    height: int = 180

    @property
    def tile(self) -> Tile:
        key = f"{self.participant} {self.source}"
        return Tile(key, self.name, Role.VISITOR, self.source, self.colour is not None)

    @property
    def query(self) -> dict[str, str]:
        return {"participant": self.participant, "name": self.name, "source": self.source.value}


class Growing(Card):
    """A camera that starts small and sends twice the size later, as browsers do when the network allows."""

    def picture(self, at_s: float) -> Image.Image:
        picture = super().picture(at_s)
        return picture if at_s < GROWS_AFTER_S else picture.resize((2 * self.width, 2 * self.height))


ANNA = Person("anna", "Anna Keller", colour=RED)
BRUNO = Person("bruno", "Bruno Weiß", colour=GREEN)
CLEO = Person("cleo", "Cleo Ünal")
SCREEN = Person("anna", "Anna Keller", SourceKind.SCREEN_SHARE, BLUE, 1280, 720)


async def more(api: ApiClient, recording: str) -> None:
    """Wait until another phase's worth of media is in the spool."""
    before = (await api.recording(recording))["duration_s"] or 0.0
    await api.until_it(recording, lambda now: (now["duration_s"] or 0.0) >= before + PHASE_S)


def events(server: RunningServer, recording: dict[str, Any]) -> list[dict[str, Any]]:
    """The recording's own account of who came and went, from its sidecar."""
    path = stored_events(server.data_dir / "recordings", recording["id"])
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_of(event: dict[str, Any], kind: str, participant: str, source: str) -> bool:
    return (event["kind"], event["participant"], event["source"]) == (kind, participant, source)


def when(told: list[dict[str, Any]], kind: str, participant: str, nth: int = 0) -> float:
    """At which second of the file this happened."""
    found = [event["at_s"] for event in told if (event["kind"], event["participant"]) == (kind, participant)]
    return float(found[nth])


def assert_shows(path: Path, time_s: float, *present: Person) -> None:
    """Everybody is where the layout puts them, in their own colour."""
    picture, canvas = picture_at(path, time_s), Canvas()
    for person, region in zip(present, arrange(canvas, [one.tile for one in present]), strict=True):
        if person.colour is None:
            name_s_ink = int((picture[region.y : region.y + region.height, region.x :] > 200).sum())
            assert name_s_ink > 50, f"no name where {person.name} has no camera"
            continue
        assert_is(colour_in(picture, fit(person.width, person.height, region)), person.colour)


def assert_is(seen: Colour, colour: Colour) -> None:
    assert np.abs(np.subtract(seen, colour)).max() <= COLOUR_ERROR_MAX, f"{seen} where {colour} should be"


async def test_everybody_is_seen_and_heard_while_they_are_there(server: RunningServer) -> None:
    async with ApiClient(server) as api, AsyncExitStack() as call:
        recording = await api.start()
        entry_point, identity = recording["entry_point"], recording["id"]

        async def join(person: Person, *tracks: Any, codec: str = "video/H264") -> AsyncExitStack:
            seat = await call.enter_async_context(AsyncExitStack())
            await seat.enter_async_context(joined(entry_point, *tracks, codec=codec, **person.query))
            return seat

        await join(ANNA, *camera(Growing(RED), ANNA_HZ))
        bruno = await join(BRUNO, *camera(Card(GREEN), BRUNO_HZ), codec="video/VP8")
        await more(api, identity)
        await join(CLEO, *microphone(CLEO_HZ))
        await more(api, identity)
        await join(SCREEN, *screen(Card(BLUE, 1280, 720)))
        await more(api, identity)
        await bruno.aclose()
        await more(api, identity)
        during = await api.recording(identity)
        assert (during["state"], during["end_reason"], during["ended_at"]) == ("RECORDING", None, None)
        await api.stop(identity)
        over = await api.until(identity, "AVAILABLE", "FAILED")

    assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
    path, told = stored_media(server.data_dir / "recordings", over["id"]), events(server, over)
    await asyncio.to_thread(assert_whole, path, over)
    share, left = when(told, "stream_started", "anna", 2), when(told, "left", "bruno")
    cleo = when(told, "joined", "cleo")
    alone, sharing, end = cleo + 0.8, share + 0.8, over["duration_s"] - 0.4
    sizes = [one["detail"]["width"] for one in told if is_of(one, "size_changed", "anna", "camera")]
    assert sizes == [320, 640]
    opening = await asyncio.to_thread(picture_at, path, FIRST_PICTURE_S_MAX)
    assert_is(colour_in(opening, Rectangle(160, 300, 160, 120)), RED)  # alone or not, there she is
    await asyncio.to_thread(assert_shows, path, cleo - 0.3, ANNA, BRUNO)
    await asyncio.to_thread(assert_shows, path, alone, ANNA, BRUNO, CLEO)
    await asyncio.to_thread(assert_shows, path, sharing, ANNA, BRUNO, CLEO, SCREEN)
    await asyncio.to_thread(assert_shows, path, end, ANNA, CLEO, SCREEN)
    sound = await asyncio.to_thread(soundtrack, path)
    moments = (cleo - 0.5, alone, left - 0.5, end)
    heard = [[sound.has(hertz, at_s) for hertz in (ANNA_HZ, BRUNO_HZ, CLEO_HZ)] for at_s in moments]
    assert heard == [[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 0, 1]], moments


def assert_whole(path: Path, told: dict[str, Any]) -> None:
    """Two judges find nothing wrong, and what the API says of the file is so."""
    report = check_file(path)
    assert report.ok, report.problems
    assert report.indexed
    assert oracle.decode_errors(path) == ""
    container = oracle.container(path)
    assert int(container["size"]) == told["bytes"]
    assert float(container["duration"]) == pytest.approx(told["duration_s"], abs=0.05)
    picture, sound = oracle.streams(path)
    assert (picture["codec_name"], picture["width"], picture["height"]) == ("h264", 1280, 720)
    assert (sound["codec_name"], sound["sample_rate"]) == ("aac", "48000")
    assert float(picture["start_time"]) == float(sound["start_time"]) == 0.0


@pytest.mark.slow
async def test_flash_and_beep_stay_together(server: RunningServer) -> None:
    first = FlashBeep(hertz=1000.0, interval_s=FLASH_INTERVAL_S)
    second = FlashBeep(hertz=1700.0, interval_s=FLASH_INTERVAL_S, first_s=0.8)
    async with ApiClient(server) as api:
        recording = await api.start()
        entry_point, identity = recording["entry_point"], recording["id"]
        async with (
            joined(entry_point, *live_tracks(first), participant="one", name="One"),
            joined(entry_point, *live_tracks(second), codec="video/VP8", participant="two", name="Two"),
        ):
            await api.until_it(identity, lambda now: (now["duration_s"] or 0.0) >= FLASHING_S)
            await api.stop(identity)
        over = await api.until(identity, "AVAILABLE", "FAILED")
    path = stored_media(server.data_dir / "recordings", over["id"])
    left, right = arrange(Canvas(), [Tile(key, key, Role.VISITOR, SourceKind.CAMERA, True) for key in "ab"])
    for source, region in ((first, left), (second, right)):
        tile = fit(320, 240, region)
        inside = Region(tile.x + 40, tile.y + 40, tile.width - 80, tile.height // 2)
        found = await asyncio.to_thread(measure, path, region=inside, hertz=source.hertz)
        assert len(found.offsets_s) >= (FLASHING_S - 2) / FLASH_INTERVAL_S, found
        assert found.p95_s <= OFFSET_S_MAX, found
