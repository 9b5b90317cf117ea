"""Signed links: a browser's <video> and EventSource cannot send an Authorization header.

A link names one path and one expiry, authenticated with HMAC-SHA256. It opens that path and nothing else.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from recorder.kernel.errors import BystanderError, caller_error

LINK_LIFETIME_S = 4 * 3600  # a long recording is watched with pauses, and every seek is a new request
LINK_ROUNDING_S = 900  # links made within a quarter of an hour are the same, so a player is not reloaded
SECRET_BYTES_MIN = 16  # RFC 2104 wants a key about as hard to guess as the digest


class LinkSigner:
    """Makes and checks signed links with one secret."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES_MIN:
            raise ValueError(f"a link secret has at least {SECRET_BYTES_MIN} bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "LinkSigner(...)"

    def sign(self, path: str, expires: datetime) -> str:
        """Return `path` with `?expires=&signature=`; `expires` counts in whole seconds."""
        moment = str(int(expires.timestamp()))
        return f"{path}?expires={moment}&signature={self._signature(path, moment)}"

    def check(self, path: str, expires: str, signature: str, *, now: datetime) -> datetime:
        """Return when the link expires; raise 403 link_invalid or link_expired when it does not hold."""
        expected = self._signature(path, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass")):
            raise _refused("link_invalid", "The signature of this link does not fit.")
        moment = datetime.fromtimestamp(int(expires), UTC)  # signed by us, so it is a number
        if now >= moment:
            raise _refused("link_expired", "This link has expired; ask for the recording again.")
        return moment

    def _signature(self, path: str, expires: str) -> str:
        message = f"{path}\n{expires}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._secret, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def link_expiry(now: datetime) -> datetime:
    """When a link made now expires: after its lifetime, rounded up."""
    seconds = int((now + timedelta(seconds=LINK_LIFETIME_S)).timestamp())
    return datetime.fromtimestamp(-(-seconds // LINK_ROUNDING_S) * LINK_ROUNDING_S, UTC)


def recording_links(signer: LinkSigner, recording: str, *, until: datetime, base: str = "") -> dict[str, str]:
    """The links of a recording, each after `base`: `self` wants a token, the others are signed."""
    path = f"/v1/recordings/{recording}"
    return {
        "self": base + path,
        "media": base + signer.sign(f"{path}/media", until),
        "hls": base + signer.sign(f"{path}/hls/index.m3u8", until),
        "events": base + signer.sign(f"{path}/events", until),
        "watch": base + signer.sign(f"/watch/{recording}", until),
    }


def _refused(code: str, detail: str) -> BystanderError:
    return caller_error(code, detail, status=403)
