"""API keys and tokens in the database: what opens what, until when, and that no secret is kept."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from recorder.database import ConversationTable, Database, KeyTable
from recorder.database.connection import sqlite_url
from recorder.database.keys import token_hash
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Conversation, Participant, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.permissions import IssuedKey, KeyScope
from recorder.services.access.api_keys import SECRET_PREFIX, ApiKeys
from recorder.services.access.authentication import Authentication
from signaling.ports import Caller

OWN_KEY = "the server's own key"
SERVER = Caller()


class Desk:
    """Keys, and the authority that they are shown to."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.table = KeyTable(database)
        self.keys = ApiKeys(self.table, self.clock)
        self.conversations = ConversationTable(database)
        self.authority = Authentication(self.table, self.conversations, OWN_KEY, self.clock)

    async def issue(
        self, *scopes: KeyScope, account: str | None = None, caller: Caller = SERVER
    ) -> IssuedKey:
        scopes = scopes or (KeyScope.ADMIN,)
        return await self.keys.create(caller, name="k", account=account, scopes=list(scopes), expires_at=None)

    async def opens(self, secret: str) -> bool:
        try:
            await self.authority.authenticate(secret)
        except BystanderError as error:
            assert (error.code, error.status) == ("unauthorized", 401)
            return False
        return True


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    yield Desk(database)


class TestAKey:
    async def test_opens_what_it_is_for(self, desk: Desk) -> None:
        made = await desk.issue(KeyScope.USAGE, account="a")
        assert made.secret.startswith(SECRET_PREFIX)
        caller = await desk.authority.authenticate(made.secret)
        assert (caller.account, caller.name) == ("a", made.id)
        assert caller.may(KeyScope.USAGE)
        assert not caller.may(KeyScope.CONVERSATIONS_READ)
        assert not await desk.opens("wrong")
        assert not await desk.opens(made.secret + "x")
        assert not await desk.opens("x" * 10_000)

    async def test_hands_out_nothing_that_outlives_it(self, desk: Desk) -> None:
        soon = desk.clock.utc_now() + timedelta(hours=1)
        make = desk.keys.create
        short = await make(SERVER, name="short", account=None, scopes=[KeyScope.ADMIN], expires_at=soon)
        eternal = await desk.issue()
        caller = await desk.authority.authenticate(short.secret)
        for expires_at in (None, soon + timedelta(seconds=1)):
            with pytest.raises(BystanderError, match="forbidden"):
                await make(caller, name="x", account=None, scopes=[KeyScope.USAGE], expires_at=expires_at)
        with pytest.raises(BystanderError, match="forbidden"):
            await desk.keys.rotate(caller, eternal.id, overlap_s=0)
        again = await make(caller, name="y", account=None, scopes=[KeyScope.USAGE], expires_at=soon)
        assert (await desk.keys.rotate(caller, short.id, overlap_s=0)).expires_at == again.expires_at == soon

    async def test_of_the_server_does_everything(self, desk: Desk) -> None:
        caller = await desk.authority.authenticate(OWN_KEY)
        assert all(caller.may(scope) for scope in KeyScope)
        assert caller.account is None

    async def test_rotated_goes_on_with_the_new_secret_and_for_a_while_with_the_old(self, desk: Desk) -> None:
        first = await desk.issue()
        second = await desk.keys.rotate(Caller(), first.id, overlap_s=60)
        assert await desk.opens(first.secret) and await desk.opens(second.secret)
        desk.clock.advance(60)
        assert not await desk.opens(first.secret)
        assert await desk.opens(second.secret)
        third = await desk.keys.rotate(Caller(), first.id, overlap_s=0)
        assert not await desk.opens(second.secret)
        assert await desk.opens(third.secret)

    async def test_revoked_opens_nothing_again(self, desk: Desk) -> None:
        made = await desk.issue()
        rotated = await desk.keys.rotate(Caller(), made.id, overlap_s=60)
        revoked = await desk.keys.revoke(Caller(), made.id)
        desk.clock.advance(1)
        assert await desk.keys.revoke(Caller(), made.id) == revoked
        assert not await desk.opens(made.secret)
        assert not await desk.opens(rotated.secret)
        with pytest.raises(BystanderError, match="key_revoked"):
            await desk.keys.rotate(Caller(), made.id, overlap_s=0)

    async def test_expires(self, desk: Desk) -> None:
        until = desk.clock.utc_now() + timedelta(seconds=10)
        made = await desk.keys.create(
            Caller(), name="k", account=None, scopes=[KeyScope.USAGE], expires_at=until
        )
        desk.clock.advance(9)
        assert await desk.opens(made.secret)
        desk.clock.advance(1)
        assert not await desk.opens(made.secret)
        with pytest.raises(BystanderError, match="invalid_expiry"):
            await desk.keys.create(Caller(), name="k", account=None, scopes=[], expires_at=until)

    async def test_of_one_account_neither_sees_nor_makes_others(self, desk: Desk) -> None:
        issued = await desk.issue(account="a")
        caller = await desk.authority.authenticate(issued.secret)
        own = await desk.issue(account="a", caller=caller)
        foreign = await desk.issue(account="b")
        for account in ("b", None):
            with pytest.raises(BystanderError, match="forbidden"):
                await desk.issue(account=account, caller=caller)
        for act in (desk.keys.get, desk.keys.revoke):
            with pytest.raises(BystanderError, match="not_found"):
                await act(caller, foreign.id)
        with pytest.raises(BystanderError, match="not_found"):
            await desk.keys.rotate(caller, foreign.id, overlap_s=0)
        listed = await desk.keys.list(caller, after=None, limit=10)
        assert sorted(one.id for one in listed) == sorted([issued.id, own.id])
        assert len(await desk.keys.list(Caller(), after=None, limit=10)) == 3


class TestATokenOfAParticipant:
    async def test_is_good_for_its_time_and_until_it_is_renewed(self, desk: Desk) -> None:
        of = Conversation(id=new_id("conv"), created_at=desk.clock.utc_now())
        await desk.conversations.add(of)
        person = Participant(id=new_id("part"), conversation=of.id, role=Role.AGENT, name="Ada")
        until = desk.clock.utc_now() + timedelta(seconds=10)
        await desk.conversations.add_participant(person, token_hash("one"), desk.clock.utc_now(), until)
        caller = await desk.authority.authenticate("one")
        assert caller.participant == msgspec.structs.replace(person, token_expires_at=until)
        later = until + timedelta(seconds=10)
        assert await desk.conversations.renew_token(of.id, person.id, token_hash("two"), later) == person
        assert not await desk.opens("one")
        desk.clock.advance(15)
        assert await desk.opens("two")
        desk.clock.advance(5)
        assert not await desk.opens("two")
        with pytest.raises(BystanderError, match="not_found"):
            await desk.conversations.renew_token("conv_other", person.id, token_hash("x"), later)


async def test_no_secret_is_kept(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "b.db"))
    await database.open()
    desk = Desk(database)
    made = await desk.issue()
    rotated = await desk.keys.rotate(Caller(), made.id, overlap_s=60)
    await database.close()
    kept = written(tmp_path)
    assert made.id.encode() in kept
    for secret in (made.secret, rotated.secret):
        assert secret.encode() not in kept
        assert secret.removeprefix(SECRET_PREFIX).encode() not in kept


def written(directory: Path) -> bytes:
    """All bytes of the database's files."""
    return b"".join(file.read_bytes() for file in sorted(directory.glob("b.db*")))
