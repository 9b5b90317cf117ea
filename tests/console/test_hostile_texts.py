"""Texts that try to be HTML, through every page of the console: whoever writes them, they stay texts."""

from urllib.parse import quote

import pytest
from playwright.async_api import Page

from tests.console.pages import opened, pages
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor
from tests.support.console_scene import HOSTILE, ConsoleScene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ACCOUNT = "hostile"
MADE_OF_TEXT = "main script, dialog script, img[src=x], [onerror], [onload], a[href^='javascript:' i]"


async def written_everywhere(scene: ConsoleScene) -> dict[str, str]:
    """What strangers, agents and administrators can write, as hostile as can be; and pages that show it."""
    async with ApiClient(scene.server) as api:
        key = {"name": HOSTILE, "scopes": ["usage"], "account": ACCOUNT}
        await api.call("POST", "/v1/keys", key, status=201)
        hook = {"url": f"https://example.org/{quote(HOSTILE)}", "description": HOSTILE}
        await api.call("POST", "/v1/webhooks", hook, status=201)
        values = {
            "recording.banner_text": HOSTILE,
            "recording.filename_pattern": f"{HOSTILE}{{recording}}.mp4",
        }
        for path in (f"/v1/accounts/{ACCOUNT}/settings", "/v1/templates/hostile/settings"):
            await api.call("PUT", path, {"values": values})
        made = await api.call(
            "POST",
            "/v1/conversations",
            {"external_id": HOSTILE, "metadata": {HOSTILE: HOSTILE}, "account": ACCOUNT, "template": HOSTILE},
            status=201,
        )
        base = f"/v1/conversations/{made['id']}"
        visitor = await api.call(
            "POST", f"{base}/participants", {"role": "VISITOR", "name": HOSTILE}, status=201
        )
        await api.call(
            "POST", f"{base}/messages", {"text": HOSTILE, "participant": visitor["id"]}, status=201
        )
        live = await api.start(made["id"])
    return {
        "their conversation": f"/console/conversations/{made['id']}",
        "their conversation, selected": f"/console/history?selected={made['id']}",
        "their live recording": f"/console/recordings/{live['id']}",
        "their options": f"/console/options?scope=account&account={ACCOUNT}",
        "their template": "/console/options?scope=template&template=hostile",
        "recording of the past": f"/console/conversations/{scene.hostile}",
        "a search": f"/console/history?participant={quote(HOSTILE)}&metadata={quote('a:' + HOSTILE)}",
        "a page that is none": f"/console/{quote('<script>', safe='')}",
        "a period": f"/console/usage?days={quote(HOSTILE)}",
        "a refusal": f"/console?refused={quote(HOSTILE)}",
    }


async def hurt(page: Page) -> bool:
    return await page.evaluate("window.hurt") is not None or await page.locator(MADE_OF_TEXT).count() > 0


async def test_no_page_makes_anything_of_anybodys_texts(visitor: Visitor, scene: ConsoleScene) -> None:
    everywhere = {**pages(scene), **await written_everywhere(scene)}
    hurtful, shown = [], 0
    for name, path in everywhere.items():
        await visitor.page.goto(scene.server.base_url + path)
        if await visitor.page.locator("h1").count():
            await opened(visitor.page, scene, path)
        hurtful += [name] if await hurt(visitor.page) else []
        shown += "onerror=" in await visitor.page.content()
    assert hurtful == []
    assert shown >= 5  # they were there to be seen
    refused = [line for line in visitor.complaints if "Content Security Policy" in line or "Trusted" in line]
    assert refused == []
