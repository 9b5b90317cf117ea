"""Search terms of conversations, hashed: every text has one length, and fits an index."""

import hashlib
from collections.abc import Iterable

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.schema import search_terms


def metadata_term(key: str, value: str) -> str:
    """The term under which a conversation with this metadata is found."""
    return _term("metadata", key, value)


def participant_term(identity_or_name: str) -> str:
    """The term under which a participant's conversation is found, without regard to case."""
    return _term("participant", identity_or_name.casefold())


async def index_terms(connection: AsyncConnection, conversation: str, terms: Iterable[str]) -> None:
    """Let the conversation be found under these terms; twice is the same as once."""
    wanted = sorted(set(terms))
    if not wanted:
        return
    query = select(search_terms.c.term).where(
        search_terms.c.conversation == conversation, search_terms.c.term.in_(wanted)
    )
    known = {row.term for row in (await connection.execute(query)).all()}
    rows = [{"term": term, "conversation": conversation} for term in wanted if term not in known]
    if rows:
        await connection.execute(insert(search_terms), rows)


def _term(kind: str, *words: str) -> str:
    return hashlib.sha256("\0".join((kind, *words)).encode(errors="surrogatepass")).hexdigest()
