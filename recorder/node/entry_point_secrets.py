"""The secret part of an entry point's URL and its token, derived and not kept.

Both are HMACs of the recording's id under the server's own secret: a restarted server knows them again, and
whoever reads the database learns nothing.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

from recorder.kernel.media import SourceKind

SECRET_BYTES = 32
SOURCES_JOINED_BY = "+"  # a token stays one word of RFC 6750


class EntryPointSecrets:
    """Derives what publishers of a recording have to show."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret needs {SECRET_BYTES} bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "EntryPointSecrets()"

    def name(self, recording: str) -> str:
        """The last part of the URL: 256 bits that cannot be guessed."""
        return self._derive("entry-point", recording)

    def token(self, recording: str) -> str:
        """What goes into the Authorization header."""
        return self._derive("token", recording)

    def is_token(self, recording: str, token: str) -> bool:
        """Compared in constant time."""
        return secrets.compare_digest(self.token(recording).encode(), token.encode(errors="surrogatepass"))

    def publisher_token(
        self, recording: str, participant: str, sources: Iterable[SourceKind], until: datetime
    ) -> str:
        """What one participant shows instead, for these sources.

        `until` is when their own token expires: a new one has another time, and ends this one.
        """
        named = SOURCES_JOINED_BY.join(sorted(sources))
        bound = f"{recording}:{participant}:{named}:{until.timestamp():.6f}"
        return f"{participant}.{named}.{self._derive('publisher', bound)}"

    def links(self) -> bytes:
        """The key that links to this server are signed with."""
        return hmac.new(self._secret, b"links", hashlib.sha256).digest()

    def seals(self) -> bytes:
        """The key that secrets in this node's own database are sealed with."""
        return hmac.new(self._secret, b"seals", hashlib.sha256).digest()

    def _derive(self, purpose: str, recording: str) -> str:
        digest = hmac.new(self._secret, f"{purpose}:{recording}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
