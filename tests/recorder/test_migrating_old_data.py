"""A database of the release before keeps what it had: keys, tokens, and conversations that are found."""

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from recorder.database import ConversationTable, Database, KeyTable
from recorder.database.connection import MIGRATIONS
from recorder.database.history import HistoryTable
from recorder.database.keys import token_hash
from recorder.kernel.clock import SystemClock
from recorder.kernel.history import ConversationSearch
from recorder.kernel.permissions import KeyScope
from recorder.services.access.authentication import Authentication

ROWS = (
    "INSERT INTO conversations (id, account, metadata, created_at)"
    """ VALUES ('conv_1', 'a', '{"case": "7"}', :now)""",
    "INSERT INTO participants (id, conversation, role, name, token_hash, added_at)"
    " VALUES ('part_1', 'conv_1', 'AGENT', 'Ada', :token, :now)",
    "INSERT INTO api_keys (id, name, key_hash, created_at) VALUES ('key_1', 'desk', :key, :now)",
)


def _to_the_release_before(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "0003")


async def test_keys_tokens_and_metadata_go_on(database_url: str) -> None:
    database = Database(database_url)
    values = {
        "now": datetime.now(UTC),
        "token": token_hash("a token"),
        "key": token_hash("an old key"),
    }
    async with database.writing() as connection:
        await connection.run_sync(_to_the_release_before)
        for row in ROWS:
            await connection.execute(text(row), {name: values[name] for name in values if f":{name}" in row})
    await database.open()
    conversations, history = ConversationTable(database), HistoryTable(database)
    authority = Authentication(KeyTable(database), conversations, "own", SystemClock())
    key = (await authority.authenticate("an old key")).key
    assert key is not None
    assert (key.scopes, key.account) == ([KeyScope.ADMIN], None)
    participant = (await authority.authenticate("a token")).participant
    assert participant is not None
    for search in (
        ConversationSearch(metadata=("case", "7")),
        ConversationSearch(participant="ada"),
        ConversationSearch(participant="part_1"),
    ):
        assert [one.id for one in await history.conversations(search)] == ["conv_1"]
    await database.close()
