"""Idempotency-Key on POST (draft-ietf-httpapi-idempotency-key-header): one request, however often it is sent.

The answer of a request that succeeded is kept for a day, and given again to the same caller for the same key
on the same path. What failed is not kept: trying it again is what the key is for. An answer may hold secrets
that are told once, so it is sealed with the server's own secret before it is kept.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.kernel.errors import caller_error
from recorder.kernel.limits import JSON_BODY_BYTES_MAX
from signaling.http.bodies import read_body
from signaling.http.problems import InvalidInputError
from signaling.ports import Caller, IdempotencyResponse, IdempotencyStore

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
ANSWER_BYTES_MAX = 64 * 1024  # ours have at most a few KiB
IN_FLIGHT_MAX = 10_000  # requests that are being answered at once
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
_NONCE_BYTES = 12
_KEPT_HEADERS = ("Location", "Cache-Control")


class Answer(msgspec.Struct, frozen=True):
    """What is given again."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: bytes


class Idempotency:
    """One for each server; `secret` seals what is kept."""

    def __init__(self, kept: IdempotencyStore, secret: bytes) -> None:
        self._kept = kept
        self._cipher = AESGCM(hmac.new(secret, b"kept answers", hashlib.sha256).digest())
        self._in_flight: set[str] = set()

    async def once(
        self, request: web.Request, caller: Caller, handle: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer by `handle`, unless this was answered before.

        Raises 400 invalid_idempotency_key, 409 request_in_progress, 422 idempotency_key_reused.
        """
        given = request.headers.get(HEADER)
        if given is None:
            return await handle()
        if _KEY.match(given) is None:
            detail = "An Idempotency-Key has 1 to 255 visible ASCII characters."
            raise InvalidInputError("invalid_idempotency_key", detail, field=f"header.{HEADER}", status=400)
        fingerprint = hashlib.sha256(await read_body(request, JSON_BODY_BYTES_MAX)).hexdigest()
        name = _digest(caller.name, request.method, request.path, given)
        if name in self._in_flight or len(self._in_flight) >= IN_FLIGHT_MAX:
            raise caller_error(
                "request_in_progress", "A request with this key is being answered.", status=409
            )
        self._in_flight.add(name)
        try:
            kept = await self._answered(name, fingerprint)
            return kept or await self._keep(name, fingerprint, caller.payer, handle)
        finally:
            self._in_flight.discard(name)

    async def _answered(self, name: str, fingerprint: str) -> web.Response | None:
        kept = await self._kept.get(name)
        if kept is None:
            return None
        if kept.fingerprint != fingerprint:
            detail = "This key was sent with another body before."
            raise InvalidInputError("idempotency_key_reused", detail, field=f"header.{HEADER}", status=422)
        nonce, sealed = kept.sealed[:_NONCE_BYTES], kept.sealed[_NONCE_BYTES:]
        plain = self._cipher.decrypt(nonce, sealed, name.encode())
        answer = msgspec.msgpack.decode(plain, type=Answer)
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers={**answer.headers, REPLAYED: "true"},
        )

    async def _keep(
        self, name: str, fingerprint: str, payer: str, handle: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handle()
        if not isinstance(response, web.Response) or response.status >= HTTPStatus.BAD_REQUEST:
            return response
        body = response.body if isinstance(response.body, bytes) else b""
        if len(body) <= ANSWER_BYTES_MAX:
            headers = {key: response.headers[key] for key in _KEPT_HEADERS if key in response.headers}
            answer = Answer(response.status, response.content_type, headers, body)
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed = self._cipher.encrypt(nonce, msgspec.msgpack.encode(answer), name.encode())
            await self._kept.put(name, IdempotencyResponse(fingerprint, nonce + sealed), payer=payer)
        return response


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode(errors="surrogatepass")).hexdigest()
