"""Console sessions: begun with an API key or by another provider, and over with the key, or in time."""

from datetime import datetime, timedelta

from recorder.database import KeyTable
from recorder.database.console_sessions import ConsoleSessionRow, ConsoleSessionTable
from recorder.database.keys import token_hash
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.ids import new_secret
from recorder.kernel.permissions import ApiKey
from recorder.settings.definitions import ConsoleSettings
from signaling.ports import Caller, ConsoleSession

SESSIONS_MAX = 10_000  # some 5 MB; the oldest go first
SEEN_AFTER_S = 30.0  # a page asks several times a second: not each of it is worth a write
KEY_PREFIX, IDENTITY_PREFIX = "key_", "oidc_"


class ConsoleSessions:
    """Fulfils signaling.ports.ConsoleSessions."""

    def __init__(
        self,
        table: ConsoleSessionTable,
        keys: KeyTable,
        api_key: str,
        clock: Clock,
        settings: ConsoleSettings,
    ) -> None:
        """`api_key` is the server's own: who signed in with it signs in again where it is another one."""
        self._table = table
        self._keys = keys
        self._own_credential = token_hash(token_hash(api_key))
        self._clock = clock
        self._ttl = timedelta(seconds=settings.session_ttl_s)
        self._idle = timedelta(seconds=settings.session_idle_s)

    async def begin(self, caller: Caller, *, name: str) -> tuple[str, ConsoleSession]:
        """403 forbidden for a participant, whose token opens one room."""
        if caller.participant is not None:
            raise caller_error("forbidden", "A participant's token does not open the console.", status=403)
        key, now, secret = caller.key, self._clock.utc_now(), new_secret()
        row = ConsoleSessionRow(
            secret_hash=token_hash(secret),
            credential=self._own_credential if key is None else key.id,
            name=name,
            account=caller.account,
            scopes=[] if key is None else key.scopes,
            created_at=now,
            seen_at=now,
            expires_at=now + self._ttl,
        )
        await self._table.add(row, most=SESSIONS_MAX)
        return secret, self._session(row, caller, now)

    async def find(self, secret: str) -> ConsoleSession:
        """401 session_ended once it expired, was ended, or its key is good no longer."""
        row, now = await self._table.get(token_hash(secret)), self._clock.utc_now()
        if row is None or now >= min(row.expires_at, row.seen_at + self._idle):
            raise _ended()
        caller = await self._caller(row, now)
        if now - row.seen_at > timedelta(seconds=SEEN_AFTER_S):
            await self._table.seen(row.secret_hash, now)
        return self._session(row, caller, now)

    async def end(self, secret: str) -> None:
        await self._table.delete(token_hash(secret))

    def _session(self, row: ConsoleSessionRow, caller: Caller, now: datetime) -> ConsoleSession:
        return ConsoleSession(caller, row.name, min(row.expires_at, now + self._idle))

    async def _caller(self, row: ConsoleSessionRow, now: datetime) -> Caller:
        if row.credential == self._own_credential:
            return Caller()
        if row.credential.startswith(IDENTITY_PREFIX):
            return Caller(key=_identity(row))
        if not row.credential.startswith(KEY_PREFIX):
            raise _ended()
        key = await self._keys.get(row.credential)
        if not _is_good(key, row.created_at, now):
            raise _ended()
        return Caller(key=key)


def _is_good(key: ApiKey, signed_in: datetime, now: datetime) -> bool:
    """Whether the secret that was shown at `signed_in` would let somebody in now."""
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return False
    rotated = key.rotated_at is not None and key.rotated_at > signed_in
    return not rotated or (key.previous_until is not None and key.previous_until > now)


def _identity(row: ConsoleSessionRow) -> ApiKey:
    """Somebody of another provider, as a key with the scopes of their role."""
    return ApiKey(
        id=row.credential, name=row.name, account=row.account, scopes=row.scopes, created_at=row.created_at
    )


def _ended() -> BystanderError:
    return caller_error("session_ended", "You have been signed out; sign in again.", status=401)
