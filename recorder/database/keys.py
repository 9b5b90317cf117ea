"""API keys at rest: only their hashes. A key has 256 random bits, so a plain SHA-256 cannot be guessed."""

import hashlib
from datetime import datetime

from sqlalchemy import delete, insert, select

from recorder.database.opening import Database
from recorder.database.schema import api_keys
from recorder.ids import new_id


def token_hash(token: str) -> str:
    """What is kept of a secret; one from an HTTP header may hold surrogates, which are hashed too."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class KeyTable:
    """Who may do everything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, key: str, when: datetime) -> None:
        """Let `key` in under this name; the one that had the name before is good no longer."""
        async with self._database.writing() as connection:
            await connection.execute(delete(api_keys).where(api_keys.c.name == name))
            await connection.execute(
                insert(api_keys).values(
                    id=new_id("key"), name=name, key_hash=token_hash(key), created_at=when
                )
            )

    async def has(self, hashed: str) -> bool:
        """Whether there is a key with this hash that was not revoked."""
        query = select(api_keys.c.id).where(api_keys.c.key_hash == hashed, api_keys.c.revoked_at.is_(None))
        async with self._database.reading() as connection:
            return (await connection.execute(query)).first() is not None
