"""Attempts to sign in by another provider, sealed in a cookie of the browser that began one."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

import msgspec
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.kernel.errors import BystanderError, caller_error

ATTEMPT_S_MAX = 600  # somebody looks for their second factor
_NONCE_BYTES = 12
_SECURE, _PLAIN = "__Host-bystander-oidc", "bystander-oidc"


class Attempt(msgspec.Struct, frozen=True):
    """What has to come back, and what only we know."""

    state: str
    nonce: str
    verifier: str
    expires: float

    @property
    def challenge(self) -> str:
        """Of the verifier, by S256 (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Attempts:
    """Makes, seals and opens them."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.new(secret, b"console oidc", hashlib.sha256).digest())

    def begin(self, now: datetime) -> Attempt:
        """A new one."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return Attempt(state, nonce, verifier, now.timestamp() + ATTEMPT_S_MAX)

    def keep(self, response: web.StreamResponse, attempt: Attempt, *, secure: bool) -> None:
        """Lax: it has to come back with the provider's redirect, which is another site's."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(attempt), None)
        response.set_cookie(
            _SECURE if secure else _PLAIN,
            base64.urlsafe_b64encode(sealed).decode(),
            path="/",
            max_age=ATTEMPT_S_MAX,
            httponly=True,
            samesite="Lax",
            secure=secure,
        )

    def taken(self, request: web.Request, state: str, now: datetime, *, secure: bool) -> Attempt:
        """The attempt of this browser that `state` belongs to; 403 oidc_attempt_unknown."""
        try:
            sealed = base64.urlsafe_b64decode(request.cookies.get(_SECURE if secure else _PLAIN, ""))
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
            attempt = msgspec.json.decode(opened, type=Attempt)
        except (ValueError, InvalidTag, msgspec.MsgspecError) as error:
            raise _unknown() from error
        matches = hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "surrogatepass"))
        if not matches or now.timestamp() >= attempt.expires:
            raise _unknown()
        return attempt

    @staticmethod
    def forget(response: web.StreamResponse, *, secure: bool) -> None:
        """An attempt is good once."""
        response.del_cookie(_SECURE if secure else _PLAIN, path="/", secure=secure, httponly=True)


def _unknown() -> BystanderError:
    return caller_error(
        "oidc_attempt_unknown", "This sign-in was not begun here, or too long ago.", status=403
    )
