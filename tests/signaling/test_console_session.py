"""Signing in to the console: the cookie, the token beside it, and what other sites' pages cannot do."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from recorder.kernel.conversation import Role
from recorder.kernel.permissions import KeyScope
from signaling.http.session_cookie import CSRF_HEADER, PLAIN_COOKIE, SECURE_COOKIE
from signaling.ports import Caller
from tests.support.fake_ports import API_KEY
from tests.support.http import Served, problem, serve

SESSION = "/console/session"


async def sign_in(served: Served, key: str = API_KEY, **headers: str) -> ClientResponse:
    return await served.client.post(SESSION, json={"key": key}, headers=headers)


async def csrf(served: Served) -> dict[str, str]:
    """Sign in; the header that a page then sends."""
    answer = await sign_in(served)
    return {CSRF_HEADER: (await answer.json())["session"]["csrf_token"]}


async def scoped_key(served: Served, *scopes: KeyScope, account: str | None = None) -> str:
    made = await served.fake.keys.create(
        Caller(), name="desk", account=account, scopes=list(scopes), expires_at=None
    )
    return made.secret


class TestSigningIn:
    async def test_gives_a_cookie_that_no_script_and_no_other_site_gets(self, served: Served) -> None:
        answer = await sign_in(served)
        assert answer.status == 200
        cookie = answer.cookies[PLAIN_COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert (cookie["domain"], cookie["max-age"]) == ("", "")
        assert cookie.value not in await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_over_https_only_https_gets_it(self) -> None:
        async with serve(public_url="https://calls.example.org") as served:
            cookie = (await sign_in(served)).cookies[SECURE_COOKIE]
            assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")

    async def test_says_who_that_is_and_what_they_may(self, served: Served) -> None:
        key = await scoped_key(served, KeyScope.RECORDINGS_WRITE, account="north")
        shown = (await (await sign_in(served, key)).json())["session"]
        assert (shown["name"], shown["account"]) == ("desk", "north")
        assert shown["scopes"] == ["recordings:read", "recordings:write"]
        again = await (await served.client.get(SESSION)).json()
        assert again["session"] == shown

    async def test_wants_a_key_that_is_good(self, served: Served) -> None:
        await problem(await sign_in(served, "wrong"), 401, "unauthorized")
        assert await (await served.client.get(SESSION)).json() == {"session": None, "oidc": False}

    async def test_is_not_for_participants(self, served: Served) -> None:
        token = (await served.token(await served.conversation(), Role.AGENT))["Authorization"]
        await problem(await sign_in(served, token.partition(" ")[2]), 403, "forbidden")

    async def test_gives_another_secret_each_time_and_ends_the_one_before(self, served: Served) -> None:
        first = (await sign_in(served)).cookies[PLAIN_COOKIE].value
        second = (await sign_in(served)).cookies[PLAIN_COOKIE].value
        assert first != second
        assert set(served.fake.console_sessions.open) == {second}

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_is_not_for_another_sites_page(self, served: Served, site: str) -> None:
        await problem(await sign_in(served, **{"Sec-Fetch-Site": site}), 403, "cross_site")

    async def test_is_not_for_a_form(self, served: Served) -> None:
        answer = await served.client.post(SESSION, data={"key": API_KEY})
        await problem(answer, 415)


class TestTheCookie:
    async def test_opens_what_its_key_opens(self, served: Served) -> None:
        key = await scoped_key(served, KeyScope.CONVERSATIONS_READ)
        await sign_in(served, key)
        assert (await served.client.get("/v1/conversations")).status == 200
        await problem(await served.client.get("/v1/keys"), 403, "forbidden")

    async def test_changes_nothing_without_the_token(self, served: Served) -> None:
        headers = await csrf(served)
        path: str = "/v1/conversations"
        wrong: list[dict[str, str]] = [{}, {CSRF_HEADER: "0" * 64}, {CSRF_HEADER: "\u00e9"}]
        for tried in wrong:
            answer = await served.client.post(path, json={}, headers=tried)
            await problem(answer, 403, "csrf_token_wrong")
        assert served.fake.conversations == {}
        assert (await served.client.post(path, json={}, headers=headers)).status == 201

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_counts_for_nothing_in_another_sites_request(self, served: Served, site: str) -> None:
        headers = {**await csrf(served), "Sec-Fetch-Site": site}
        await problem(await served.client.get("/v1/conversations", headers=headers), 401)
        await problem(await served.client.post("/v1/conversations", json={}, headers=headers), 401)

    async def test_does_not_help_a_bearer_token_that_is_wrong(self, served: Served) -> None:
        await sign_in(served)
        answer = await served.client.get("/v1/conversations", headers={"Authorization": "Bearer wrong"})
        await problem(answer, 401, "unauthorized")

    async def test_is_good_no_longer_after_signing_out(self, served: Served) -> None:
        headers = await csrf(served)
        secret = next(iter(served.fake.console_sessions.open))
        await problem(await served.client.delete(SESSION), 403, "csrf_token_wrong")
        answer = await served.client.delete(SESSION, headers=headers)
        assert (answer.status, answer.cookies[PLAIN_COOKIE].value) == (204, "")
        kept: dict[str, Any] = {"cookies": {PLAIN_COOKIE: secret}}
        await problem(await served.client.get("/v1/conversations", **kept), 401, "session_ended")

    async def test_of_a_session_that_ended_is_taken_away(self, served: Served) -> None:
        await sign_in(served)
        served.fake.console_sessions.open.clear()
        answer = await served.client.get(SESSION)
        assert await answer.json() == {"session": None, "oidc": False}
        assert answer.cookies[PLAIN_COOKIE].value == ""


class TestThePages:
    @pytest.mark.parametrize(
        "path", ["/console", "/console/", "/console/history", "/console/recordings/rec_1"]
    )
    async def test_are_one_shell_that_allows_nothing_from_elsewhere(self, served: Served, path: str) -> None:
        answer = await served.client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "unsafe" not in policy and "*" not in policy and "data:" not in policy
        assert {"default-src 'none'", "frame-ancestors 'none'", "trusted-types 'none'"} <= set(
            policy.split("; ")
        )
        assert answer.headers["X-Frame-Options"] == "DENY"

    async def test_hold_no_script_of_their_own(self, served: Served) -> None:
        shell = await (await served.client.get("/console")).text()
        assert "<style" not in shell and " style=" not in shell and " on" not in shell.replace(" on ", "")
        assert shell.count("<script") == shell.count("<script src=") + shell.count(
            '<script type="module" src='
        )

    @pytest.mark.parametrize("name", ["../room.html", "../../app.py", "none.js", "pages/../../style.css"])
    async def test_nothing_else_is_served(self, served: Served, name: str) -> None:
        answer = await served.client.get(f"/console-files/{name.replace('..', '%2e%2e')}")
        assert answer.status == 404
