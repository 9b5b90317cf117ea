"""Files and snapshots on the room's page in Chromium: sent, saved, refused, off and on with the store."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser

from recorder.kernel.conversation import Consent
from recorder.kernel.files.file import FileKind, FileState, SharedFile
from recorder.kernel.permissions import ConversationTerms
from tests.signaling.test_room_in_chromium import CONNECTED, Stage, sees, until
from tests.support.browser import Visitor, chromium
from tests.support.fake_ports import overloaded

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What a browser does when files are dragged in from the desktop, or pasted.
DROP = """([kind, target, name]) => {
    const data = new DataTransfer();
    data.items.add(new File(["from the desktop"], name, { type: "text/plain" }));
    const options = { bubbles: true, cancelable: true };
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { ...options, clipboardData: data })
        : new DragEvent(kind, { ...options, dataTransfer: data });
    document.querySelector(target).dispatchEvent(event);
}"""
SENT_WIDTH = "document.querySelector('.tile[data-self=true] video').videoWidth"


class Call(NamedTuple):
    """Two people in a room, with their chats open."""

    stage: Stage
    agent: Visitor
    visitor: Visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@asynccontextmanager
async def calling(
    browser: Browser,
    terms: ConversationTerms | None = None,
    *,
    prepare: Callable[[Visitor], Awaitable[None]] | None = None,
) -> AsyncIterator[Call]:
    """`prepare` does something with the agent's page before it is loaded."""
    stage = Stage()
    await stage.start()
    stage.fake.terms.terms = terms or ConversationTerms()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        if prepare is not None:
            await prepare(agent)
        ada, blaise = await stage.people()
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        for one in (agent, visitor):
            await one.page.click("[data-action=panel]")
        yield Call(stage, agent, visitor)
        assert agent.complaints == visitor.complaints == []
    await stage.entry_points.close()
    await stage.server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(browser: Browser) -> AsyncIterator[Call]:
    """One for all tests that leave it as it was."""
    async with calling(browser) as one:
        yield one


async def send(visitor: Visitor, name: str, data: bytes) -> None:
    file = {"name": name, "mimeType": "text/plain", "buffer": data}
    await visitor.page.set_input_files("#attach-input", [file])


async def test_a_file_goes_from_one_page_to_the_other(call: Call, tmp_path: Path) -> None:
    await send(call.agent, "Größe.txt", b"what it holds")
    line = call.visitor.page.locator(".chat .file")
    await line.wait_for()
    assert await line.inner_text() == "Größe.txt\n1 kB"
    async with call.visitor.page.expect_download() as saving:
        await line.click()
    saved = await saving.value
    assert saved.suggested_filename == "Größe.txt"
    await saved.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b"what it holds"
    await call.agent.page.wait_for_selector(".upload", state="detached")


@pytest.mark.parametrize(("kind", "target"), [("drop", "#grid"), ("paste", "#say-text")])
async def test_by_dropping_and_by_pasting(call: Call, kind: str, target: str) -> None:
    await call.visitor.page.evaluate(DROP, [kind, target, f"{kind}.txt"])
    await call.agent.page.get_by_text(f"{kind}.txt").wait_for()
    assert await call.visitor.page.input_value("#say-text") == ""


async def test_a_broken_connection_is_gone_on_with(call: Call) -> None:
    call.stage.fake.fail("uploads.append", overloaded())
    await send(call.agent, "again.txt", b"x" * 1000)
    await call.visitor.page.get_by_text("again.txt").wait_for()
    await call.agent.page.wait_for_selector(".upload", state="detached")
    call.agent.complaints.clear()  # the browser's own line about the 503


async def test_one_on_its_way_is_cancelled(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, files = asyncio.Event(), call.stage.fake.files

    async def hanging(*_: object, **__: object) -> SharedFile:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody goes on with it")

    monkeypatch.setattr(files, "append", hanging)
    known = set(files.files)
    await send(call.agent, "regretted.txt", b"x" * 1000)
    await begun.wait()
    await call.agent.page.click("[aria-label='Cancel regretted.txt']")
    await call.agent.page.get_by_text("Cancelled").wait_for()
    await until(lambda: set(files.files) == known)


async def test_what_is_being_dragged_is_told_where_to_go(call: Call) -> None:
    await call.agent.page.evaluate(DROP, ["dragenter", "#grid", "x.txt"])
    await call.agent.page.wait_for_selector("#drop:not([hidden])")
    await call.agent.page.evaluate(DROP, ["dragleave", "#grid", "x.txt"])
    await call.agent.page.wait_for_selector("#drop", state="hidden")


async def test_one_that_is_too_large_is_refused_at_once(call: Call) -> None:
    known = len(call.stage.fake.files.files)
    call.stage.fake.files.bytes_max = 1000
    await asked_again(call.agent)
    await send(call.agent, "large.txt", b"x" * 1001)
    told = "large.txt is too large: a file may have up to 1 kB."
    await call.agent.page.get_by_text(told).wait_for()
    assert len(call.stage.fake.files.files) == known
    call.stage.fake.files.bytes_max = None
    await asked_again(call.agent)


async def test_it_stops_with_the_storage_test_and_comes_back(call: Call) -> None:
    call.stage.fake.files.storage_on = False
    told = "Files cannot be sent now: the storage of this server does not work."
    for one in (call.agent, call.visitor):
        await one.page.locator("#files-off").get_by_text(told).wait_for()
        assert await one.page.is_disabled("#attach")
    assert await call.agent.page.is_disabled("#record")
    assert "storage" in (await call.agent.page.get_attribute("#record", "title") or "")
    await call.agent.page.evaluate(DROP, ["drop", "#grid", "x.txt"])
    await call.agent.page.locator(".toast").get_by_text(told).wait_for()
    call.stage.fake.files.storage_on = True
    await call.agent.page.wait_for_selector("#attach:enabled")
    await call.agent.page.wait_for_selector("#record:enabled[title='']")
    assert await call.agent.page.inner_text("#files-off") == ""


async def test_nothing_is_offered_where_it_is_switched_off(call: Call) -> None:
    call.stage.fake.files.services_on = False
    await asked_again(call.agent)
    await call.agent.page.wait_for_selector("#attach", state="hidden")
    assert await call.agent.page.inner_text("#files-off") == ""
    call.stage.fake.files.services_on = True
    await asked_again(call.agent)


async def test_an_agent_sees_the_visitor_s_camera_at_once(call: Call) -> None:
    agent, visitor, files = call.agent, call.visitor, call.stage.fake.files
    await sees(agent, CONNECTED)
    await agent.page.click(f"{CONNECTED} [data-action=snapshot]")
    await visitor.page.get_by_text("Ada Lovelace took a picture of your camera.").wait_for()
    await agent.until("document.querySelector('#picture-image').naturalWidth > 0")
    (kept,) = [one for one in files.files.values() if one.kind is FileKind.SNAPSHOT]
    picture = Image.open(io.BytesIO(bytes(files.data[kept.id])))
    assert picture.width > await visitor.page.evaluate(SENT_WIDTH)  # all that the camera has
    await agent.page.click("#picture-close")
    await agent.page.wait_for_selector(".chat .thumbnail img")
    assert await visitor.page.locator(".chat .thumbnail").count() == 0
    assert await visitor.page.get_by_text("Ada Lovelace took a picture ·").count() == 1
    assert await visitor.page.locator("[data-action=snapshot]:visible").count() == 0


@pytest.mark.slow
async def test_who_is_to_be_asked_is_asked(browser: Browser) -> None:
    async with calling(browser, ConversationTerms(consent=Consent.ASK)) as call:
        take = f"{CONNECTED} [data-action=snapshot]"
        await sees(call.agent, CONNECTED)
        await call.agent.page.click(take)
        question = "Ada Lovelace would like to take a picture of your camera. May they?"
        await call.visitor.page.get_by_text(question).wait_for()
        (asked,) = call.stage.fake.files.files.values()
        assert asked.state is FileState.ASKED
        await call.visitor.page.click("#snapshot-no")
        await call.agent.page.get_by_text("They did not allow the picture.").wait_for()
        await call.agent.page.click(take)
        await call.visitor.page.click("#snapshot-yes")
        await call.agent.until("document.querySelector('#picture-image').naturalWidth > 0")


async def asked_again(visitor: Visitor) -> None:
    """What may be done is asked again whenever the panel is opened."""
    await visitor.page.click("#panel-close")
    async with visitor.page.expect_response("**/services"):
        await visitor.page.click("[data-action=panel]")
