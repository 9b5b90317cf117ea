"""Who a bearer token belongs to: an API key, or a participant of one conversation."""

import secrets
from datetime import datetime

import msgspec

from recorder.database import ConversationTable, KeyTable
from recorder.database.keys import token_hash
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import caller_error
from recorder.services.access.api_keys import SECRET_PREFIX
from signaling.ports import Caller

TOKEN_CHARS_MAX = 512  # ours have some 50; whatever is longer needs no database to be refused


class Authentication:
    """Fulfils signaling.ports.Authority."""

    def __init__(self, keys: KeyTable, conversations: ConversationTable, api_key: str, clock: Clock) -> None:
        """`api_key` is the configured key, or the one from the data directory: it may do everything."""
        self._keys = keys
        self._conversations = conversations
        self._api_key_hash = token_hash(api_key)
        self._clock = clock

    async def authenticate(self, token: str) -> Caller:
        """Raises 401 unauthorized when the token is no good, or no longer."""
        if len(token) > TOKEN_CHARS_MAX:
            raise _unauthorized()
        hashed, now = token_hash(token), self._clock.utc_now()
        if secrets.compare_digest(hashed, self._api_key_hash):
            return Caller()
        if not token.startswith(SECRET_PREFIX):  # a key's secret needs no look among the participants
            found = await self._conversations.participant_with(hashed)
            if found is not None:
                return _unexpired(*found, now)
        key = await self._keys.with_secret(hashed, now)
        if key is None:
            raise _unauthorized()
        return Caller(key=key)


def _unexpired(participant: Participant, expires_at: datetime, now: datetime) -> Caller:
    if expires_at <= now:
        raise caller_error("unauthorized", "The token has expired; ask for a new one.", status=401)
    return Caller(msgspec.structs.replace(participant, token_expires_at=expires_at))


def _unauthorized() -> Exception:
    return caller_error("unauthorized", "The token is not valid.", status=401)
