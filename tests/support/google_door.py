"""What Google asks of a client of Cloud Storage's XML API, over HTTP, before a store that speaks like S3.

It follows Google's documents: a token for a JWT that a service account signed (RFC 7523), with every request
`Authorization: Bearer`, and `x-goog-` where S3 says `x-amz-`. Behind the door is moto, so nothing here tells
how Google itself stores.
"""

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.support.loopback import serving

EMAIL = "recorder@project.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"  # wherever a client reaches it
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
BODY_BYTES_MAX = 64 * 1024 * 1024
# moto wants to know who asks, and believes it.
_KNOWN_BEHIND = (
    "AWS4-HMAC-SHA256 Credential=bystander/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
_NOT_FORWARDED = ("host", "authorization", "transfer-encoding", "connection", "content-length", "expect")


@dataclass
class GoogleDoor:
    """The running door. Tokens last `token_s`, and are refused when older."""

    behind: str
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    token_s: float = 3600.0
    endpoint: str = ""
    tokens: dict[str, float] = field(default_factory=dict)  # and when they end
    refused: int = 0

    def write_key(self, file: Path) -> Path:
        """The service account's key file, as Google's console gives it out."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.endpoint}/token",
        }
        file.write_text(json.dumps(account))
        return file

    async def give_token(self, request: web.Request) -> web.Response:
        """POST /token: RFC 7523, 2.1."""
        form = await request.post()
        try:
            claims = self._claims(str(form["assertion"]))
        except (InvalidSignature, ValueError):
            return web.json_response({"error": "invalid_grant"}, status=400)
        about = (claims["iss"], claims["aud"], claims["scope"])
        if about != (EMAIL, AUDIENCE, SCOPE) or float(claims["exp"]) < time.time():
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = secrets.token_urlsafe(32)
        self.tokens[token] = time.monotonic() + self.token_s
        return web.json_response({"access_token": token, "expires_in": self.token_s, "token_type": "Bearer"})

    def _claims(self, assertion: str) -> dict[str, str | float]:
        signed, _, signature = assertion.rpartition(".")
        public = self.key.public_key()
        public.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims: dict[str, str | float] = json.loads(_decoded(signed.partition(".")[2]))
        return claims

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Everything else."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, 0.0) < time.monotonic():
            self.refused += 1
            return _problem(401, "AuthenticationRequired")
        if any(name.lower().startswith("x-amz-") for name in request.headers):
            self.refused += 1
            return _problem(400, "InvalidArgument")
        headers = _renamed(request.headers, "x-goog-", "x-amz-")
        headers["Authorization"] = _KNOWN_BEHIND
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method,
                URL(self.behind + request.raw_path, encoded=True),
                headers=headers,
                data=await request.read(),
            ) as answer,
        ):
            headers = _renamed(answer.headers, "x-amz-", "x-goog-")
            body = await answer.read()
            if request.method == "HEAD":
                headers["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=headers, body=body)


@asynccontextmanager
async def google_door(behind: str) -> AsyncIterator[GoogleDoor]:
    """A door before the S3 server at `behind`."""
    door = GoogleDoor(behind)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/token", door.give_token)
    app.router.add_route("*", "/{path:.*}", door.pass_on)
    async with serving(app) as door.endpoint:
        yield door


def _renamed(headers: CIMultiDict[str] | CIMultiDictProxy[str], before: str, after: str) -> CIMultiDict[str]:
    renamed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in _NOT_FORWARDED:
            is_theirs = name.lower().startswith(before)
            renamed.add(after + name[len(before) :] if is_theirs else name, value)
    return renamed


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _problem(status: int, code: str) -> web.Response:
    return web.Response(
        status=status, content_type="application/xml", text=f"<Error><Code>{code}</Code></Error>"
    )
