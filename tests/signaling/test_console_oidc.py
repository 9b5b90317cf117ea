"""Signing in to the console by OpenID Connect, with a provider on loopback that can also be wrong."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from yarl import URL

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from signaling.console.oidc.provider import check_address
from signaling.console.oidc.terms import OidcTerms, identity
from signaling.http.session_cookie import PLAIN_COOKIE
from tests.support.fake_ports import FakeServer
from tests.support.http import Served, problem, serve
from tests.support.oidc_provider import CLIENT, SECRET, OidcProvider, oidc_provider

ROLES = {"agent_roles": ("age",), "supervisor_roles": ("sup",), "administrator_roles": ("adm",)}


class Scene:
    def __init__(self, served: Served, provider: OidcProvider) -> None:
        self.served = served
        self.provider = provider

    async def away(self) -> str:
        """Where the browser is sent back to, with a code."""
        answer = await self.served.client.get("/console/oidc/start", allow_redirects=False)
        assert answer.status == 303, answer.headers
        async with ClientSession() as browser:
            back = await browser.get(URL(answer.headers["Location"], encoded=True), allow_redirects=False)
            assert back.status == 302, await back.text()
            return URL(back.headers["Location"]).path_qs

    async def back(self, path: str) -> tuple[str, str | None]:
        """Where the page is shown, and the session's secret."""
        headers = {"Sec-Fetch-Site": "cross-site"}  # as a browser says that comes from the provider's page
        answer = await self.served.client.get(path, allow_redirects=False, headers=headers)
        assert answer.status == 303
        cookie = answer.cookies.get(PLAIN_COOKIE)
        return answer.headers["Location"], None if cookie is None else cookie.value

    async def session(self) -> dict[str, Any] | None:
        answer = await self.served.client.get("/console/session")
        found: dict[str, Any] | None = (await answer.json())["session"]
        return found


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    clock = ManualClock()
    async with oidc_provider(clock) as provider:
        terms = OidcTerms(issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, **ROLES)
        async with serve(FakeServer(clock), oidc=terms) as served:
            yield Scene(served, provider)


class TestSigningIn:
    @pytest.mark.parametrize("alg", ["RS256", "ES256"])
    async def test_by_the_provider_is_a_session_with_the_roles_scopes(self, scene: Scene, alg: str) -> None:
        scene.provider.alg = alg
        where, secret = await scene.back(await scene.away())
        assert (where, secret is not None) == ("/console", True)
        session = await scene.session()
        assert session is not None
        assert (session["name"], session["account"]) == ("Ada", None)
        assert session["scopes"] == ["conversations:read", "recordings:read", "recordings:write", "usage"]
        assert (await scene.served.client.get("/v1/conversations")).status == 200
        await problem(await scene.served.client.get("/v1/keys"), 403, "forbidden")

    async def test_is_good_once(self, scene: Scene) -> None:
        path = await scene.away()
        await scene.back(path)
        assert (await scene.back(path)) == ("/console?refused=oidc_attempt_unknown", None)

    async def test_finds_keys_that_the_provider_signs_with_since(self, scene: Scene) -> None:
        await scene.back(await scene.away())
        scene.provider.rotate()
        assert (await scene.back(await scene.away()))[0] == "/console"

    async def test_is_told_where_it_is_configured(self, scene: Scene) -> None:
        assert (await (await scene.served.client.get("/console/session")).json())["oidc"] is True

    async def test_is_not_there_where_it_is_not_configured(self, served: Served) -> None:
        for path in ("start", "callback"):
            await problem(await served.client.get(f"/console/oidc/{path}"), 404, "not_found")


class TestRefused:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"nonce": "another"},
            {"nonce": None},
            {"aud": "another"},
            {"aud": [CLIENT, "another"], "azp": "another"},
            {"aud": [CLIENT, "another"]},
            {"iss": "https://another.example"},
            {"exp": 0},
            {"iat": 99_999_999_999},
            {"sub": None},
        ],
        ids=str,
    )
    async def test_a_token_that_is_not_for_us_now(self, scene: Scene, wrong: dict[str, Any]) -> None:
        scene.provider.wrong = wrong
        assert await scene.back(await scene.away()) == ("/console?refused=oidc_token_invalid", None)
        assert await scene.session() is None

    @pytest.mark.parametrize("alg", ["none", "HS256", "PS256"])
    async def test_a_token_that_is_signed_otherwise(self, scene: Scene, alg: str) -> None:
        scene.provider.alg = alg
        assert (await scene.back(await scene.away()))[0] == "/console?refused=oidc_token_invalid"

    async def test_somebody_without_a_role(self, scene: Scene) -> None:
        scene.provider.claims["roles"] = ["something else"]
        assert (await scene.back(await scene.away()))[0] == "/console?refused=oidc_no_role"

    async def test_somebody_whom_the_provider_denies(self, scene: Scene) -> None:
        scene.provider.denies = True
        assert (await scene.back(await scene.away()))[0] == "/console?refused=oidc_denied"

    async def test_a_code_that_another_browser_began(self, scene: Scene) -> None:
        """Nobody is signed in as somebody else by a link."""
        path = await scene.away()
        scene.served.client.session.cookie_jar.clear()
        assert await scene.back(path) == ("/console?refused=oidc_attempt_unknown", None)

    async def test_another_state(self, scene: Scene) -> None:
        path = URL(await scene.away()).update_query(state="another").path_qs
        assert (await scene.back(path))[0] == "/console?refused=oidc_attempt_unknown"

    async def test_an_attempt_of_long_ago(self, scene: Scene) -> None:
        path = await scene.away()
        assert isinstance(scene.provider.clock, ManualClock)
        scene.provider.clock.advance(601)
        assert (await scene.back(path))[0] == "/console?refused=oidc_attempt_unknown"

    async def test_a_code_that_is_made_up(self, scene: Scene) -> None:
        path = URL(await scene.away()).update_query(code="made-up").path_qs
        assert (await scene.back(path))[0] == "/console?refused=oidc_refused"

    async def test_a_provider_that_calls_itself_otherwise(self, scene: Scene) -> None:
        scene.provider.wrong = {"issuer": "https://another.example"}
        answer = await scene.served.client.get("/console/oidc/start", allow_redirects=False)
        assert answer.headers["Location"] == "/console?refused=oidc_refused"


class TestTerms:
    @pytest.mark.parametrize(
        ("roles", "scopes"),
        [
            (["age"], {"conversations:read", "recordings:read"}),
            ("age adm", {"admin"}),
            (["sup", "age"], {"conversations:read", "recordings:read", "recordings:write", "usage"}),
        ],
    )
    def test_the_strongest_role_counts(self, roles: Any, scopes: set[str]) -> None:
        terms = OidcTerms(issuer="https://a", client_id="b", roles_claim="realm_access.roles", **ROLES)
        found = identity(terms, {"sub": "s", "realm_access": {"roles": roles}}, ManualClock().utc_now())
        assert set(found.scopes) == scopes
        assert found.id.startswith("oidc_") and len(found.id) <= 64

    def test_an_account_is_needed_where_one_is_asked_for(self) -> None:
        terms = OidcTerms(issuer="https://a", client_id="b", account_claim="org", **ROLES)
        now, claims = ManualClock().utc_now(), {"sub": "s", "roles": ["adm"]}
        assert identity(terms, {**claims, "org": "north"}, now).account == "north"
        for wrong in ({}, {"org": ""}, {"org": ["north"]}):
            with pytest.raises(BystanderError, match="oidc_no_account"):
                identity(terms, {**claims, **wrong}, now)

    def test_a_provider_is_reached_by_https(self) -> None:
        for good in ("https://login.example.org/x", "http://127.0.0.1:9000", "http://localhost/"):
            check_address(good)
        for bad in ("http://login.example.org", "ftp://a", "file:///etc/passwd"):
            with pytest.raises(BystanderError, match="oidc_refused"):
                check_address(bad)
