"""A small provider of OpenID Connect: discovery, keys, codes with PKCE, ID tokens; and what can be wrong."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from recorder.kernel.clock import Clock

CLIENT, SECRET = "bystander", "a client's secret"
_SHOWN = f"{CLIENT}:{quote(SECRET, safe='')}".encode()  # RFC 6749, 2.3.1


@dataclass
class OidcProvider:
    """Everybody who is sent to it is `claims`. `wrong` changes its tokens, `alg` is how it signs."""

    clock: Clock
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "ada", "name": "Ada", "roles": ["sup"]})
    wrong: dict[str, Any] = field(default_factory=dict)
    alg: str = "RS256"
    denies: bool = False
    issuer: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        """Sign with new keys from now on."""
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.kid = secrets.token_hex(4)

    # --- endpoints ---------------------------------------------------------------------------------------
    async def discovery(self, request: web.Request) -> web.Response:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        found = {name: f"{self.issuer}/{path}" for name, path in paths.items()}
        return web.json_response({"issuer": self.wrong.get("issuer", self.issuer), **found})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        if self.denies:
            raise web.HTTPFound(f"{asked['redirect_uri']}?error=access_denied&state={asked['state']}")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        raise web.HTTPFound(f"{asked['redirect_uri']}?code={code}&state={asked['state']}&iss={self.issuer}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form.get("code")), None)
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        good = (
            asked is not None
            and request.headers["Authorization"] == "Basic " + base64.b64encode(_SHOWN).decode()
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and _b64(digest) == asked["code_challenge"]
        )
        if not good or asked is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"token_type": "Bearer", "id_token": self.signed(asked["nonce"])})

    async def keys(self, request: web.Request) -> web.Response:
        public, curve = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
        return web.json_response(
            {
                "keys": [
                    {
                        "kty": "RSA",
                        "kid": self.kid,
                        "use": "sig",
                        "n": _number(public.n),
                        "e": _number(public.e),
                    },
                    {
                        "kty": "EC",
                        "kid": self.kid,
                        "crv": "P-256",
                        "x": _number(curve.x, 32),
                        "y": _number(curve.y, 32),
                    },
                ]
            }
        )

    def signed(self, nonce: str) -> str:
        """An ID token, with what is wrong about it."""
        at = self.now.timestamp()
        known = {"iss": self.issuer, "aud": CLIENT, "exp": at + 300, "iat": at, "nonce": nonce}
        claims = {**known, **self.claims, **{key: one for key, one in self.wrong.items() if key != "issuer"}}
        head = _b64(msgspec.json.encode({"alg": self.alg, "kid": self.kid}))
        message = f"{head}.{_b64(msgspec.json.encode(claims))}"
        return f"{message}.{_b64(self._signature(message.encode()))}"

    @property
    def now(self) -> datetime:
        return self.clock.utc_now()

    def _signature(self, message: bytes) -> bytes:
        if self.alg == "RS256":
            return self.rsa.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "ES256":
            first, second = decode_dss_signature(self.ec.sign(message, ec.ECDSA(hashes.SHA256())))
            return first.to_bytes(32, "big") + second.to_bytes(32, "big")
        return b""


@asynccontextmanager
async def oidc_provider(clock: Clock) -> AsyncIterator[OidcProvider]:
    """One on a loopback port for the length of the block."""
    provider = OidcProvider(clock)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    app.router.add_get("/keys", provider.keys)
    async with TestServer(app) as server:
        provider.issuer = str(server.make_url("/")).rstrip("/")
        yield provider


def _number(value: int, size: int | None = None) -> str:
    return _b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
