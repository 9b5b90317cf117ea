"""The seal on signing secrets at rest: who reads the database, or a copy of it, cannot sign in our name.

Made with the node's own secret, so it is for databases that no other node works on; without a key nothing is
sealed, and what was written before it was stays readable.
"""

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.kernel.errors import BystanderError, Fault

_PREFIX = "sealed1:"
_NONCE_BYTES = 12


class SecretSeal:
    """Seals and opens text with one key of 32 bytes; None: nothing is sealed."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    def __repr__(self) -> str:
        return "SecretSeal(...)"

    def is_open(self, text: str) -> bool:
        """Whether this is to be sealed, and is not."""
        return self._cipher is not None and not text.startswith(_PREFIX)

    def seal(self, text: str) -> str:
        if self._cipher is None:
            return text
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), None)
        return _PREFIX + base64.b64encode(sealed).decode()

    def open(self, text: str) -> str:
        """What was sealed; 500 secret_unreadable when it was sealed with another node's secret."""
        if not text.startswith(_PREFIX):
            return text
        sealed = base64.b64decode(text.removeprefix(_PREFIX))
        try:
            if self._cipher is None:
                raise InvalidTag
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
        except InvalidTag:
            detail = "A signing secret was sealed with another `secret` than this data directory has."
            raise BystanderError("secret_unreadable", detail, fault=Fault.SERVER, status=500) from None
