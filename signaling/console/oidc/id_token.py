"""ID tokens: a signature by one of the provider's keys, and claims that are meant for us, now. Pure.

JSON Web Signature (RFC 7515) in its compact form, RS256 and ES256 (RFC 7518), checked as OpenID Connect Core
1.0, 3.1.3.7 has it. The key is chosen by what we hold, never by what the token says of its own algorithm.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from recorder.kernel.errors import BystanderError, Fault

LEEWAY_S = 60.0  # between the provider's clock and ours
RSA_BITS_MIN = 2048  # RFC 7518, 3.3
_P256_BYTES = 32


class Jwk(msgspec.Struct, frozen=True):
    """A public key of the provider (RFC 7517); members that we do not know are passed over."""

    kty: str
    kid: str | None = None
    use: str | None = None
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None


class Claims(msgspec.Struct, frozen=True):
    """What every ID token has to say."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str | None = None
    azp: str | None = None


def verify(
    token: str, keys: Sequence[Jwk], *, issuer: str, client_id: str, nonce: str, now: datetime
) -> dict[str, Any]:
    """The claims of a token that holds; 502 oidc_token_invalid says what is wrong with another one."""
    try:
        head, body, signature = token.split(".")
        header = msgspec.json.decode(_bytes(head), type=_Header)
        payload = _bytes(body)
        claims = msgspec.json.decode(payload, type=Claims)
        known: dict[str, Any] = msgspec.json.decode(payload)
        signed = _bytes(signature)
    except (ValueError, binascii.Error) as error:
        raise invalid("it is no JSON Web Token") from error
    _check_signature(header, f"{head}.{body}".encode(), signed, keys)
    _check_claims(claims, issuer=issuer, client_id=client_id, nonce=nonce, now=now)
    return known


def invalid(reason: str) -> BystanderError:
    """502: the provider's answer does not hold."""
    detail = f"The provider's ID token is refused: {reason}."
    return BystanderError("oidc_token_invalid", detail, fault=Fault.PEER, status=502)


def _check_claims(claims: Claims, *, issuer: str, client_id: str, nonce: str, now: datetime) -> None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    at = now.timestamp()
    for holds, reason in (
        (claims.iss == issuer, "another issuer made it"),
        (client_id in audiences, "it is for another client"),
        (len(audiences) == 1 or claims.azp == client_id, "it was given to another client"),
        (claims.azp in (None, client_id), "it was given to another client"),
        (claims.exp + LEEWAY_S > at, "it has expired"),
        (claims.iat - LEEWAY_S < at, "it is of the future"),
        (hmac.compare_digest((claims.nonce or "").encode(), nonce.encode()), "it answers another request"),
    ):
        if not holds:
            raise invalid(reason)


def _check_signature(header: _Header, message: bytes, signature: bytes, keys: Sequence[Jwk]) -> None:
    fitting = [key for key in keys if _fits(key, header)]
    if not any(_holds(key, header.alg, message, signature) for key in fitting):
        raise invalid("none of the provider's keys signed it")


def _fits(key: Jwk, header: _Header) -> bool:
    kind = {"RS256": "RSA", "ES256": "EC"}.get(header.alg)
    named = header.kid is None or key.kid in (None, header.kid)
    return key.kty == kind and named and key.use in (None, "sig")


def _holds(key: Jwk, alg: str, message: bytes, signature: bytes) -> bool:
    try:
        if alg == "RS256":
            _rsa(key).verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            _ec(key).verify(_der(signature), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _rsa(key: Jwk) -> rsa.RSAPublicKey:
    public = rsa.RSAPublicNumbers(_number(key.e), _number(key.n)).public_key()
    if public.key_size < RSA_BITS_MIN:
        raise ValueError("a weak key")
    return public


def _ec(key: Jwk) -> ec.EllipticCurvePublicKey:
    if key.crv != "P-256":
        raise ValueError("another curve")
    return ec.EllipticCurvePublicNumbers(_number(key.x), _number(key.y), ec.SECP256R1()).public_key()


def _der(signature: bytes) -> bytes:
    """From the two numbers in a row (RFC 7518, 3.4)."""
    if len(signature) != 2 * _P256_BYTES:
        raise ValueError("a signature of another size")
    first, second = signature[:_P256_BYTES], signature[_P256_BYTES:]
    return encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))


def _number(text: str | None) -> int:
    return int.from_bytes(_bytes(text or ""), "big")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
