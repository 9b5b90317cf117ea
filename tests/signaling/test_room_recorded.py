"""The room against the whole server: what two people in Chromium say and show is in the file."""

from pathlib import Path
from typing import Any

from media.check.file import check_file
from media.video.layout import Rectangle
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.pictures import colour_in, picture_at
from tests.support.server import running_server

RECORDED_S = 2.0
AGENTS_MAY_STOP = {"BYSTANDER_RECORDING__ALLOW_STOP": '["AGENT"]'}  # by default nobody in the call may


async def test_a_call_in_the_room_becomes_a_recording(tmp_path: Path) -> None:
    with running_server(tmp_path, settings=AGENTS_MAY_STOP) as server:
        async with ApiClient(server) as api, chromium() as browser:
            conversation = await api.conversation()
            async with Visitor(browser) as agent, Visitor(browser) as visitor:
                await _join(api, conversation, agent, "AGENT", "Ada Lovelace")
                await _join(api, conversation, visitor, "VISITOR", "Blaise Pascal")
                for one in (agent, visitor):  # by itself, and before they are connected
                    await one.page.wait_for_selector(
                        "body[data-recording=recording][data-publishing=connected]"
                    )
                    await one.page.get_by_text("This call is being recorded").wait_for()
                (recording,) = await _recordings(api, conversation)
                await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) >= RECORDED_S)
                await agent.page.click("#record")
                await agent.page.click(".toast [data-action=play]")
                await agent.until("document.getElementById('player-video').currentTime > 0.2")
            (told,) = await _recordings(api, conversation)
            assert (told["state"], told["end_reason"]) == ("AVAILABLE", "NORMAL")
            file = tmp_path / "recording.mp4"
            file.write_bytes(await api.media(told["id"]))
        _is_whole(file)
        _shows_both(file, told["duration_s"] - 0.5)


async def _join(api: ApiClient, conversation: str, visitor: Visitor, role: str, name: str) -> None:
    body = {"role": role, "name": name}
    made = await api.call("POST", f"/v1/conversations/{conversation}/participants", body, status=201)
    await visitor.page.goto(made["room_url"])
    await visitor.page.click("#join")
    await visitor.page.wait_for_selector("body[data-socket=open]")


async def _recordings(api: ApiClient, conversation: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.call("GET", f"/v1/conversations/{conversation}/recordings"))[
        "items"
    ]
    return found


def _is_whole(file: Path) -> None:
    report = check_file(file)
    assert report.ok, report.problems
    assert {track.codec for track in report.tracks} == {"avc1", "mp4a"}


def _shows_both(file: Path, at_s: float) -> None:
    """Chromium's fake camera is green; one is left of the middle, one right of it, as they joined."""
    picture = picture_at(file, at_s)
    height, width, _ = picture.shape
    for x in (0, width // 2):
        red, green, blue = colour_in(picture, Rectangle(x, height // 4, width // 2, height // 2))
        assert green > 100 and green > red + 60 and green > blue + 60
