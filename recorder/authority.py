"""Who a bearer token belongs to: an API key, or a participant of one conversation."""

import secrets

from recorder.database import ConversationTable, KeyTable
from recorder.database.keys import token_hash
from recorder.errors import caller_error
from signaling.ports import Caller

TOKEN_CHARS_MAX = 512  # ours have 43; whatever is longer needs no database to be refused


class Authority:
    """Fulfils signaling.ports.Authority."""

    def __init__(self, keys: KeyTable, conversations: ConversationTable, api_key: str) -> None:
        """`api_key` is the configured key, or the one from the data directory."""
        self._keys = keys
        self._conversations = conversations
        self._api_key_hash = token_hash(api_key)

    async def authenticate(self, token: str) -> Caller:
        """Raises 401 unauthorized when the token is no good."""
        if len(token) > TOKEN_CHARS_MAX:
            raise _unauthorized()
        hashed = token_hash(token)
        if secrets.compare_digest(hashed, self._api_key_hash):
            return Caller()
        participant = await self._conversations.participant_with(hashed)
        if participant is not None:
            return Caller(participant)
        if await self._keys.has(hashed):
            return Caller()
        raise _unauthorized()


def _unauthorized() -> Exception:
    return caller_error("unauthorized", "The token is not valid.", status=401)
