"""A worker that is killed while two people talk in the room: their pages come back by themselves."""

import os
import signal
from pathlib import Path

import pytest

from media.check.file import check_file
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.server import running_server

pytestmark = pytest.mark.faults

KILLS = 3
BETWEEN_S = 3.0  # of recording, before each kill
GAP_S_MAX = 3.0


async def test_pages_publish_again_by_themselves(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api, chromium() as browser:
            conversation = await api.conversation()
            async with Visitor(browser) as agent, Visitor(browser) as visitor:
                for page, role in ((agent, "AGENT"), (visitor, "VISITOR")):
                    await join(api, conversation, page, role)
                for page in (agent, visitor):
                    await page.page.wait_for_selector(
                        "body[data-recording=recording][data-publishing=connected]"
                    )
                (recording,) = (await api.call("GET", f"/v1/conversations/{conversation}/recordings"))[
                    "items"
                ]
                identity = recording["id"]
                for _ in range(KILLS):
                    before = (await api.until(identity, "RECORDING"))["duration_s"] or 0.0
                    await api.until_it(
                        identity, lambda now, wanted=before + BETWEEN_S: (now["duration_s"] or 0.0) >= wanted
                    )
                    (worker,) = server.workers()
                    os.kill(worker, signal.SIGKILL)
                    await api.until(identity, "INTERRUPTED")
                for page in (agent, visitor):
                    await page.page.wait_for_selector(
                        "body[data-recording=recording][data-publishing=connected]"
                    )
                before = (await api.until(identity, "RECORDING"))["duration_s"] or 0.0
                await api.until_it(identity, lambda now: (now["duration_s"] or 0.0) >= before + BETWEEN_S)
                await api.stop(identity)
                over = await api.until(identity, "AVAILABLE", "FAILED")
            events = await api.events(identity)
            (tmp_path / "recording.mp4").write_bytes(await api.media(identity))
    assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
    assert check_file(tmp_path / "recording.mp4").problems == []
    gaps = [event["detail"]["length_s"] for event in events if event["kind"] == "gap"]
    print("gaps:", gaps)  # noqa: T201 - a figure that docs quote
    assert len(gaps) == KILLS
    assert max(gaps) <= GAP_S_MAX
    both = {event["participant"] for event in events if event["kind"] == "joined"}
    assert len(both) == 2


async def join(api: ApiClient, conversation: str, visitor: Visitor, role: str) -> None:
    body = {"role": role, "name": role.title()}
    made = await api.call("POST", f"/v1/conversations/{conversation}/participants", body, status=201)
    await visitor.page.goto(made["room_url"])
    await visitor.page.click("#join")
    await visitor.page.wait_for_selector("body[data-socket=open]")
