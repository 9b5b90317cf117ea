"""The provider: its discovery document, its keys, and codes exchanged for ID tokens."""

import asyncio
import base64
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import KIB
from recorder.kernel.network.proxy import Proxy
from signaling.console.oidc.id_token import Jwk, verify
from signaling.console.oidc.terms import OidcTerms

TIMEOUT_S = 10.0  # for one request: somebody waits before an empty page
ANSWER_BYTES_MAX = 256 * KIB  # a discovery document has some 5, a key set some 10
KNOWN_S_MAX = 3600.0  # then the document and the keys are asked for again
_DISCOVERY = "/.well-known/openid-configuration"

T = TypeVar("T")


class Discovery(msgspec.Struct, frozen=True):
    """What we need of the discovery document (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[Jwk]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class Provider:
    """One for each server; it opens connections when somebody signs in, and keeps none."""

    def __init__(self, terms: OidcTerms, clock: Clock, proxy: Proxy | None = None) -> None:
        self.terms = terms
        self._proxy = proxy
        self._clock = clock
        self._known: tuple[Discovery, list[Jwk]] | None = None
        self._known_ns = 0
        self._asking = asyncio.Lock()

    async def authorization_url(self, **parameters: str) -> str:
        """Where somebody signs in, with these parameters beside who we are."""
        discovery, _ = await self._discovered()
        asked = {
            "response_type": "code",
            "client_id": self.terms.client_id,
            "scope": " ".join(self.terms.scopes),
            **parameters,
        }
        return str(URL(discovery.authorization_endpoint).update_query(asked))

    async def claims(self, *, code: str, verifier: str, redirect_uri: str, nonce: str) -> dict[str, Any]:
        """Who signed in; 502 oidc_unreachable, oidc_refused, oidc_token_invalid."""
        discovery, keys = await self._discovered()
        token = await self._exchange(discovery, code, verifier, redirect_uri)
        now = self._clock.utc_now()
        try:
            return self._verified(token, keys, nonce, now)
        except BystanderError:
            _, fresh = await self._discovered(again=True)  # the provider may sign with a new key since
            return self._verified(token, fresh, nonce, now)

    def _verified(self, token: str, keys: list[Jwk], nonce: str, now: datetime) -> dict[str, Any]:
        terms = self.terms
        return verify(token, keys, issuer=terms.issuer, client_id=terms.client_id, nonce=nonce, now=now)

    async def _exchange(self, discovery: Discovery, code: str, verifier: str, redirect_uri: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
            "client_id": self.terms.client_id,
        }
        headers = _basic(self.terms.client_id, self.terms.client_secret)
        answer = await self._ask("POST", discovery.token_endpoint, _Tokens, data=form, headers=headers)
        return answer.id_token

    async def _discovered(self, *, again: bool = False) -> tuple[Discovery, list[Jwk]]:
        async with self._asking:
            age_s = (self._clock.monotonic_ns() - self._known_ns) / 1e9
            if self._known is None or again or age_s > KNOWN_S_MAX:
                self._known, self._known_ns = await self._discover(), self._clock.monotonic_ns()
            return self._known

    async def _discover(self) -> tuple[Discovery, list[Jwk]]:
        discovery = await self._ask("GET", self.terms.issuer.rstrip("/") + _DISCOVERY, Discovery)
        if discovery.issuer != self.terms.issuer:  # Discovery 1.0, 4.3
            raise _failed(
                "oidc_refused", "The provider calls itself by another name than the one configured."
            )
        return discovery, (await self._ask("GET", discovery.jwks_uri, _KeySet)).keys

    async def _ask(self, method: str, url: str, type_: type[T], **options: Any) -> T:
        check_address(url)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        proxy = None if self._proxy is None else self._proxy.for_url(url)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.request(method, url, allow_redirects=False, proxy=proxy, **options) as answer,
            ):
                if answer.status != HTTPStatus.OK:
                    raise _failed("oidc_refused", f"The provider answered {answer.status}.")
                body = await answer.content.read(ANSWER_BYTES_MAX)
                return msgspec.json.decode(body, type=type_)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failed("oidc_unreachable", "The provider cannot be reached.") from error
        except msgspec.MsgspecError as error:
            raise _failed("oidc_refused", "The provider's answer is not understood.") from error


def _basic(client_id: str, secret: str | None) -> dict[str, str]:
    """Who asks (RFC 6749, 2.3.1); nothing for a public client."""
    if secret is None:
        return {}
    shown = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": "Basic " + base64.b64encode(shown.encode()).decode()}


def check_address(url: str) -> None:
    """oidc_refused unless nobody on the way can read or change what passes: HTTPS, or this machine."""
    parsed = URL(url)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and _is_own(parsed.host or "")):
        raise _failed("oidc_refused", "The provider has to be reached by https.")


def _is_own(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failed(code: str, detail: str) -> BystanderError:
    return BystanderError(code, detail, fault=Fault.PEER, status=502)
