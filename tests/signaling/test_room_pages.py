"""The static pages: what they may do, and that they are whole."""

import re
from importlib import resources

import pytest

from tests.support.http import Served, problem

WEB = resources.files("signaling") / "web"
FILES = sorted(entry.name for entry in WEB.iterdir() if entry.is_file())


@pytest.mark.parametrize("path", ["/", "/room/anything", "/web/room.js", "/web/style.css", "/web/icon.svg"])
async def test_pages_may_reach_this_origin_and_nothing_else(served: Served, path: str) -> None:
    answer = await served.client.get(path)
    assert answer.status == 200
    policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_a_page_that_is_known_is_not_sent_again(served: Served) -> None:
    etag = (await served.client.get("/web/room.js")).headers["ETag"]
    again = await served.client.get("/web/room.js", headers={"If-None-Match": etag})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", etag)
    other = await served.client.get("/web/room.js", headers={"If-None-Match": '"other"'})
    assert other.status == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fports.py", "__init__.py"])
async def test_only_the_pages_files_are_served(served: Served, name: str) -> None:
    await problem(await served.client.get(f"/web/{name}"), 404)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".js", ".html"))])
async def test_everything_that_is_referred_to_exists(served: Served, name: str) -> None:
    text = (WEB / name).read_text()
    referred = re.findall(r'from "\./([\w.]+)"|(?:src|href)="/web/([\w.]+)"', text)
    assert {a or b for a, b in referred} <= set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".html")])
def test_pages_have_no_code_or_style_of_their_own(name: str) -> None:
    text = (WEB / name).read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)  # the policy refuses it


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    text = (WEB / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)


def test_every_element_that_a_module_asks_for_is_on_its_page() -> None:
    pages = {"room.html": {"landing.js", "api.js"}, "landing.html": set(FILES) - {"landing.js", "player.js"}}
    for page, not_its in pages.items():
        present = set(re.findall(r'id="([\w-]+)"', (WEB / page).read_text()))
        for module in [name for name in FILES if name.endswith(".js") and name not in not_its]:
            asked = set(re.findall(r'byId\("([\w-]+)"\)', (WEB / module).read_text()))
            assert asked <= present, (page, module, asked - present)
