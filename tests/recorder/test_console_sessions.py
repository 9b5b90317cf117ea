"""Sessions of the console in a real database, on both kinds."""

from datetime import timedelta

import pytest

from recorder.database import Database, KeyTable
from recorder.database.console_sessions import ConsoleSessionTable
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Participant, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.permissions import ApiKey, IssuedKey, KeyScope
from recorder.services.access.api_keys import ApiKeys
from recorder.services.console import sessions as console_sessions
from recorder.services.console.sessions import ConsoleSessions
from recorder.settings.definitions import ConsoleSettings
from signaling.ports import Caller

SETTINGS = ConsoleSettings(session_ttl_s=3600, session_idle_s=600)


class Scene:
    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.table, self.keys = ConsoleSessionTable(database), KeyTable(database)
        self.api_keys = ApiKeys(self.keys, self.clock)

    def sessions(self, api_key: str = "server's own") -> ConsoleSessions:
        return ConsoleSessions(self.table, self.keys, api_key, self.clock, SETTINGS)

    async def key(self) -> IssuedKey:
        return await self.api_keys.create(
            Caller(), name="desk", account="north", scopes=[KeyScope.USAGE], expires_at=None
        )

    async def begin(self, key: ApiKey) -> str:
        secret, _ = await self.sessions().begin(Caller(key=await self.keys.get(key.id)), name=key.name)
        return secret

    async def ended(self, secret: str, sessions: ConsoleSessions | None = None) -> bool:
        try:
            await (sessions or self.sessions()).find(secret)
        except BystanderError as error:
            assert (error.code, error.status) == ("session_ended", 401)
            return True
        return False


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_is_who_signed_in_also_after_a_restart(scene: Scene) -> None:
    key = await scene.key()
    found = await scene.sessions().find(await scene.begin(key))
    assert (found.name, found.caller.account) == ("desk", "north")
    assert found.caller.key is not None and found.caller.key.id == key.id


async def test_ends_after_a_while_without_a_request_and_in_any_case_in_time(scene: Scene) -> None:
    secret = await scene.begin(await scene.key())
    for _ in range(6):
        scene.clock.advance(599)
        assert not await scene.ended(secret)
    scene.clock.advance(6)
    assert await scene.ended(secret), "an hour has passed"
    idle = await scene.begin(await scene.key())
    scene.clock.advance(600)
    assert await scene.ended(idle)


async def test_ends_with_its_key(scene: Scene) -> None:
    revoked, rotated = await scene.key(), await scene.key()
    of_revoked, of_rotated = await scene.begin(revoked), await scene.begin(rotated)
    await scene.api_keys.revoke(Caller(), revoked.id)
    assert await scene.ended(of_revoked)
    scene.clock.advance(1)
    await scene.api_keys.rotate(Caller(), rotated.id, overlap_s=60)
    assert not await scene.ended(of_rotated)
    scene.clock.advance(61)
    assert await scene.ended(of_rotated)
    assert not await scene.ended(await scene.begin(rotated)), "signed in with the new secret"


async def test_ends_where_the_servers_own_key_is_another_one(scene: Scene) -> None:
    secret, _ = await scene.sessions().begin(Caller(), name="Server key")
    assert (await scene.sessions().find(secret)).caller == Caller()
    assert await scene.ended(secret, scene.sessions("another"))


async def test_ends_by_signing_out(scene: Scene) -> None:
    secret = await scene.begin(await scene.key())
    await scene.sessions().end(secret)
    await scene.sessions().end(secret)
    assert await scene.ended(secret)


async def test_of_somebody_from_elsewhere_keeps_what_their_role_may(scene: Scene) -> None:
    somebody = ApiKey(
        id="oidc_" + "a" * 40,
        name="Ada",
        account=None,
        scopes=[KeyScope.RECORDINGS_READ],
        created_at=scene.clock.utc_now(),
    )
    secret, _ = await scene.sessions().begin(Caller(key=somebody), name="Ada")
    found = await scene.sessions().find(secret)
    assert found.caller.may(KeyScope.RECORDINGS_READ) and not found.caller.may(KeyScope.ADMIN)


async def test_is_not_for_participants(scene: Scene) -> None:
    somebody = Participant(id="part_1", conversation="conv_1", role=Role.AGENT, name="Ada")
    with pytest.raises(BystanderError, match="forbidden"):
        await scene.sessions().begin(Caller(somebody), name="Ada")


async def test_there_are_not_more_than_so_many(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_sessions, "SESSIONS_MAX", 2)
    key, secrets = await scene.key(), []
    for _ in range(3):
        secrets.append(await scene.begin(key))
        scene.clock.advance(timedelta(seconds=1).total_seconds())
    assert [await scene.ended(one) for one in secrets] == [True, False, False]
