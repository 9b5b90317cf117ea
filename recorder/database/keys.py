"""API keys at rest: only their hashes. A key has 256 random bits, so a plain SHA-256 cannot be guessed."""

import builtins
import hashlib
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import Row

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import api_keys
from recorder.kernel.errors import not_found
from recorder.kernel.permissions import ApiKey

_SHOWN = [api_keys.c[name] for name in ApiKey.__struct_fields__]


def token_hash(token: str) -> str:
    """What is kept of a secret; one from an HTTP header may hold surrogates, which are hashed too."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class KeyTable:
    """Rows in, values out; `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey, hashed: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(api_keys).values(_values(key) | {"key_hash": hashed}))

    async def get(self, key: str) -> ApiKey:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(*_SHOWN).where(api_keys.c.id == key))).one_or_none()
        if row is None:
            raise not_found("key")
        return _key(row)

    async def list(self, *, account: str | None, after: str | None, limit: int) -> builtins.list[ApiKey]:
        """By age; `account` None: of every account."""
        query = select(*_SHOWN).order_by(api_keys.c.id).limit(limit)
        if account is not None:
            query = query.where(api_keys.c.account == account)
        if after is not None:
            query = query.where(api_keys.c.id > after)
        async with self._database.reading() as connection:
            return [_key(row) for row in (await connection.execute(query)).all()]

    async def rotate(self, key: str, hashed: str, *, now: datetime, previous_until: datetime) -> None:
        """Let `hashed` in, and the secret before it until `previous_until`; older ones are good no longer."""
        values = {
            "previous_hash": api_keys.c.key_hash,
            "previous_until": previous_until,
            "key_hash": hashed,
            "rotated_at": now,
        }
        async with self._database.writing() as connection:
            await connection.execute(update(api_keys).where(api_keys.c.id == key).values(values))

    async def revoke(self, key: str, when: datetime) -> None:
        """The first time counts."""
        of_it = (api_keys.c.id == key) & api_keys.c.revoked_at.is_(None)
        async with self._database.writing() as connection:
            await connection.execute(update(api_keys).where(of_it).values(revoked_at=when))

    async def with_secret(self, hashed: str, now: datetime) -> ApiKey | None:
        """The key that this secret opens now: neither revoked, nor expired, nor rotated away."""
        current = api_keys.c.key_hash == hashed
        previous = (api_keys.c.previous_hash == hashed) & (api_keys.c.previous_until > now)
        alive = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
        query = select(*_SHOWN).where(or_(current, previous), api_keys.c.revoked_at.is_(None), alive)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _key(row)


def _values(key: ApiKey) -> dict[str, Any]:
    return {**msgspec.structs.asdict(key), "scopes": [str(scope) for scope in key.scopes]}


def _key(row: Row[Any]) -> ApiKey:
    return msgspec.convert(fields(row), ApiKey)
