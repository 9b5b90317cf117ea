"""Signatures of the Standard Webhooks specification, symmetric (`v1`)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification wants 24 to 64


def new_signing_secret() -> str:
    """A secret as receivers configure it: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(
    message: str, body: bytes, signing_secrets: Iterable[str], *, unix_s: int
) -> dict[str, str]:
    """The header fields of one attempt; every secret signs, so that receivers may change theirs meanwhile."""
    signatures = " ".join(f"v1,{_signature(one, message, unix_s, body)}" for one in signing_secrets)
    return {"webhook-id": message, "webhook-timestamp": str(unix_s), "webhook-signature": signatures}


def _signature(secret: str, message: str, unix_s: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = f"{message}.{unix_s}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
