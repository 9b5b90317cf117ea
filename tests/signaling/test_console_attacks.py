"""Attacks on who is signed in to the console, through every operation and page of one table.

The operations are those of the route table, so that a new one is tried as well; texts that try to be HTML are
in tests/console/test_pages.py, in a browser.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse

from recorder.kernel.permissions import KeyScope
from signaling.app import API
from signaling.http.rate_limits import RateLimit, RateLimits
from signaling.http.session_cookie import CSRF_HEADER
from signaling.ports import Caller
from signaling.routes.access import Scheme
from signaling.routes.operation import Operation
from tests.support.http import Served, problem, serve

HELD = [one for one in API if one.access.scheme in (Scheme.BEARER, Scheme.SESSION)]
CHANGING = [one for one in HELD if one.method not in ("GET", "HEAD")]
PAGES = ("/", "/console", "/console/keys", "/room/conv_1", "/docs")
ABOUT = {
    "account": "default",
    "template": "t",
    "key": "key_1",
    "webhook": "whk_1",
    "participant": "p",
    "interaction": "i",
    "upload": "file_1",
    "file": "file_1",
    "background": "bg_1",
    "snapshot": "file_1",
}


class Scene:
    """An administrator of every account is signed in, and somebody's recording is there."""

    def __init__(self, served: Served, csrf: str, **names: str) -> None:
        self.served = served
        self.csrf = csrf
        self.names = {**ABOUT, **names}

    async def call(self, operation: Operation, headers: dict[str, str]) -> ClientResponse:
        path = operation.path.format(**self.names)
        body: Any = {} if operation.body is not None else None
        return await self.served.client.request(
            operation.method, path, headers=headers, json=body, allow_redirects=False
        )

    async def state(self) -> Any:
        fake = self.served.fake
        return (
            dict(fake.conversations),
            dict(fake.keys.keys),
            set(fake.console_sessions.open),
            dict(fake.recordings),
        )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    plenty = RateLimit(burst=100_000, per_s=100_000)
    limits = RateLimits(key=plenty, participant=plenty, address=plenty)
    async with serve(rate_limits=limits) as served:
        conversation = await served.conversation()
        recording = (await served.recording(conversation))["id"]
        yield await signed_in(served, None, conversation=conversation, recording=recording)


async def signed_in(served: Served, account: str | None, **names: str) -> Scene:
    key = await served.fake.keys.create(
        Caller(), name="k", account=account, scopes=[KeyScope.ADMIN], expires_at=None
    )
    answer = await served.client.post("/console/session", json={"key": key.secret})
    return Scene(served, (await answer.json())["session"]["csrf_token"], **names)


async def test_nothing_is_changed_without_the_token(scene: Scene) -> None:
    before = await scene.state()
    for operation in CHANGING:
        for shown in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: scene.csrf[:-1]}):
            await problem(await scene.call(operation, shown), 403, "csrf_token_wrong")
    assert await scene.state() == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_sites_page_gets_nothing(scene: Scene, site: str) -> None:
    before = await scene.state()
    for operation in HELD:
        answer = await scene.call(operation, {CSRF_HEADER: scene.csrf, "Sec-Fetch-Site": site})
        assert answer.status == 401, operation.id
        assert answer.headers.get("Access-Control-Allow-Origin") is None
    assert await scene.state() == before


async def test_a_session_of_another_account_finds_nothing(scene: Scene) -> None:
    names = {name: scene.names[name] for name in ("conversation", "recording")}
    stranger = await signed_in(scene.served, "another", **names)
    for operation in HELD:
        if {"conversation", "recording", "account"} & set(operation.path_parameters):
            answer = await stranger.call(operation, {CSRF_HEADER: stranger.csrf})
            assert answer.status == 404, operation.id


async def test_a_session_that_ended_opens_nothing(scene: Scene) -> None:
    scene.served.fake.console_sessions.open.clear()
    for operation in HELD:
        answer = await scene.call(operation, {CSRF_HEADER: scene.csrf})
        assert answer.status == 401, operation.id


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_is_framed_or_takes_scripts_from_elsewhere(served: Served, path: str) -> None:
    answer = await served.client.get(path)
    assert (answer.status, answer.content_type) == (200, "text/html")
    parts = [part.partition(" ") for part in answer.headers["Content-Security-Policy"].split("; ")]
    policy = {name: value for name, _, value in parts}
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy.get("script-src", "'none'") in ("'none'", "'self'") or "sha256-" in policy["script-src"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
