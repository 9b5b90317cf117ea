"""API keys as callers know them: made, rotated and revoked, never by somebody who may less than the key."""

import builtins
from datetime import datetime, timedelta

import msgspec

from recorder.database import KeyTable
from recorder.database.keys import token_hash
from recorder.kernel.clock import Clock
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.ids import new_id, new_secret
from recorder.kernel.permissions import ApiKey, IssuedKey, KeyScope
from signaling.ports import Caller

SECRET_PREFIX = "bystander_"  # so that scanners find a key that was committed somewhere


class ApiKeys:
    """Fulfils signaling.ports.Keys."""

    def __init__(self, table: KeyTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        account: str | None,
        scopes: list[KeyScope],
        expires_at: datetime | None,
    ) -> IssuedKey:
        now = self._clock.utc_now()
        if caller.key is not None and not caller.key.reaches(account):
            raise caller_error("forbidden", "Your key reaches its own account only.", status=403)
        if expires_at is not None and expires_at <= now:
            raise caller_error("invalid_expiry", "The key would have expired already.", status=422)
        _check_lifetime(caller, expires_at)
        key = ApiKey(
            id=new_id("key"),
            name=name,
            account=account,
            scopes=sorted(set(scopes)),
            created_at=now,
            expires_at=expires_at,
        )
        secret = _new_secret()
        await self._table.add(key, token_hash(secret))
        return _issued(key, secret)

    async def get(self, caller: Caller, key: str) -> ApiKey:
        found = await self._table.get(key)
        if caller.key is not None and not caller.key.reaches(found.account):
            raise not_found("key")
        return found

    async def list(self, caller: Caller, *, after: str | None, limit: int) -> builtins.list[ApiKey]:
        return await self._table.list(account=caller.account, after=after, limit=limit)

    async def rotate(self, caller: Caller, key: str, *, overlap_s: int) -> IssuedKey:
        """A new secret; the one before stays good for `overlap_s`."""
        found, now = await self.get(caller, key), self._clock.utc_now()
        if found.revoked_at is not None:
            raise caller_error("key_revoked", "The key was revoked; make another one.", status=409)
        _check_lifetime(caller, found.expires_at)
        secret, until = _new_secret(), now + timedelta(seconds=overlap_s)
        await self._table.rotate(key, token_hash(secret), now=now, previous_until=until)
        return _issued(await self._table.get(key), secret)

    async def revoke(self, caller: Caller, key: str) -> ApiKey:
        await self.get(caller, key)
        await self._table.revoke(key, self._clock.utc_now())
        return await self._table.get(key)


def _check_lifetime(caller: Caller, expires_at: datetime | None) -> None:
    """403 forbidden for a secret that would be good for longer than the one that asks for it."""
    own = None if caller.key is None else caller.key.expires_at
    if own is not None and (expires_at is None or expires_at > own):
        detail = f"Your key expires at {own.isoformat()}; it cannot hand out one that lasts longer."
        raise caller_error("forbidden", detail, status=403)


def _new_secret() -> str:
    return SECRET_PREFIX + new_secret()


def _issued(key: ApiKey, secret: str) -> IssuedKey:
    return IssuedKey(**msgspec.structs.asdict(key), secret=secret)
