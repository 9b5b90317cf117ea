"""Settings of accounts, templates and conversations: what counts, who said it, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recorder.database import ConversationTable, Database
from recorder.database.settings import Said, SettingsTable
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Consent, Conversation, InteractionKind, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.recording import RecordingType, TriggeringMode
from recorder.services.effective_settings import ScopedSettings, scoped_definitions
from recorder.settings.definitions import RecordingSettings, Settings
from recorder.settings.parsing import parse_setting
from recorder.settings.scopes import INNER_SCOPES, Scope
from storage.settings import StorageSettings

CLOCK = ManualClock()


@pytest.fixture
async def conversation(database: Database) -> AsyncIterator[Conversation]:
    made = Conversation(id=new_id("conv"), account="acme", template="advice", created_at=CLOCK.utc_now())
    await ConversationTable(database).add(made)
    yield made


def scoped(database: Database, **server: Any) -> ScopedSettings:
    return ScopedSettings(Settings(recording=RecordingSettings(**server)), SettingsTable(database), CLOCK)


class TestStores:
    async def test_an_account_chooses_among_the_stores_of_the_operator(
        self, database: Database, conversation: Conversation
    ) -> None:
        server = Settings(stores={"eu": StorageSettings(url="s3://eu")})
        settings = ScopedSettings(server, SettingsTable(database), CLOCK)
        await settings.say(Scope.ACCOUNT, "acme", {"recording.store": "eu"})
        assert (await settings.effective(conversation)).store == "eu"
        with pytest.raises(BystanderError) as refused:
            await settings.say(Scope.ACCOUNT, "acme", {"recording.store": "us"})
        assert (refused.value.code, refused.value.status) == ("invalid_setting", 422)
        assert "there are default, eu" in refused.value.detail


class TestWhatCounts:
    async def test_is_the_servers_word_where_nobody_else_says_anything(
        self, database: Database, conversation: Conversation
    ) -> None:
        server = RecordingSettings(type=RecordingType.AUDIO, width=640)
        settings = ScopedSettings(Settings(recording=server), SettingsTable(database), CLOCK)
        assert await settings.effective(conversation) == server

    async def test_is_said_by_the_innermost_scope(
        self, database: Database, conversation: Conversation
    ) -> None:
        settings = scoped(database, type=RecordingType.AUDIO)
        await settings.say(Scope.ACCOUNT, "acme", {"recording.triggering_mode": "MANUAL"})
        await settings.say(Scope.TEMPLATE, "acme/advice", {"recording.type": "AUDIO_VIDEO"})
        mine = {"recording.consent": "ask", "recording.triggering_sources": ["CALL"]}
        await settings.say(Scope.CONVERSATION, conversation.id, mine)
        found = await settings.effective(conversation)
        assert found.triggering_mode is TriggeringMode.MANUAL
        assert found.type is RecordingType.AUDIO_VIDEO
        assert found.consent is Consent.ASK
        assert found.triggering_sources == (InteractionKind.CALL,)

    async def test_names_the_scope(self, database: Database, conversation: Conversation) -> None:
        settings = scoped(database, type=RecordingType.AUDIO)
        await settings.say(Scope.ACCOUNT, "acme", {"recording.visible_to": ["VISITOR"]})
        await settings.say(Scope.TEMPLATE, "acme/advice", {"recording.cobrowse": False})
        found = await settings.explain(account="acme", template="advice", conversation=conversation.id)
        assert found["recording.visible_to"].value == (Role.VISITOR,)
        assert {key: one.scope.value for key, one in found.items() if one.scope is not Scope.DEFAULT} == {
            "recording.type": "server",
            "recording.visible_to": "account",
            "recording.cobrowse": "template",
        }
        assert set(found) == set(scoped_definitions())

    async def test_an_account_without_recording_has_none_in_any_template(
        self, database: Database, conversation: Conversation
    ) -> None:
        settings = scoped(database)
        await settings.say(Scope.ACCOUNT, "acme", {"recording.enabled": False})
        await settings.say(Scope.TEMPLATE, "acme/advice", {"recording.enabled": True})
        assert not (await settings.effective(conversation)).enabled

    async def test_others_words_do_not_count(self, database: Database, conversation: Conversation) -> None:
        settings = scoped(database)
        for scope, owner in (
            (Scope.ACCOUNT, "advice"),
            (Scope.TEMPLATE, "other/advice"),
            (Scope.ACCOUNT, "other"),
        ):
            await settings.say(scope, owner, {"recording.banner": False})
        assert (await settings.effective(conversation)).banner

    async def test_what_the_operator_locks_stays_even_if_it_was_said_before(
        self, database: Database, conversation: Conversation
    ) -> None:
        await scoped(database).say(Scope.ACCOUNT, "acme", {"recording.consent": "none"})
        locked = scoped(database, consent=Consent.ASK, locked=("consent",))
        assert (await locked.effective(conversation)).consent is Consent.ASK

    async def test_what_is_no_longer_valid_is_left_out(
        self, database: Database, conversation: Conversation
    ) -> None:
        old = {"recording.max_retries": 1000, "recording.gone": 1, "recording.banner": False}
        await SettingsTable(database).put(
            Said(scope=Scope.ACCOUNT, owner="acme", values=old, version=1), CLOCK.utc_now()
        )
        found = await scoped(database).effective(conversation)
        assert (found.max_retries, found.banner) == (3, False)


class TestSaying:
    async def test_replaces_all_that_was_said(self, database: Database) -> None:
        settings = scoped(database)
        first = await settings.say(Scope.ACCOUNT, "acme", {"recording.banner": False})
        second = await settings.say(Scope.ACCOUNT, "acme", {"recording.type": "AUDIO"})
        assert (first.version, second.version) == (1, 2)
        assert await settings.said(Scope.ACCOUNT, "acme") == second
        assert second.values == {"recording.type": "AUDIO"}

    async def test_a_stale_version_changes_nothing(self, database: Database) -> None:
        settings = scoped(database)
        said = await settings.say(Scope.ACCOUNT, "acme", {"recording.banner": False}, version=0)
        for version in (0, 2):
            with pytest.raises(BystanderError) as error:
                await settings.say(Scope.ACCOUNT, "acme", {}, version=version)
            assert (error.value.code, error.value.status) == ("settings_changed", 412)
        assert await settings.said(Scope.ACCOUNT, "acme") == said

    async def test_of_many_at_once_with_one_version_one_wins(self, database: Database) -> None:
        settings = scoped(database)
        for round_ in range(2):
            said = (
                settings.say(Scope.ACCOUNT, "acme", {"recording.banner_text": f"{n}"}, version=round_)
                for n in range(4)
            )
            outcomes = await asyncio.gather(*said, return_exceptions=True)
            assert sum(isinstance(one, Said) for one in outcomes) == 1
            refused = [one.code for one in outcomes if isinstance(one, BystanderError)]
            assert refused == ["settings_changed"] * 3

    async def test_a_conversations_words_go_with_it(
        self, database: Database, conversation: Conversation
    ) -> None:
        settings = scoped(database)
        await settings.say(Scope.CONVERSATION, conversation.id, {"recording.banner": False})
        await ConversationTable(database).delete(conversation.id)
        assert (await settings.said(Scope.CONVERSATION, conversation.id)).version == 0

    async def test_nothing_is_kept_of_a_refused_set(self, database: Database) -> None:
        settings = scoped(database)
        with pytest.raises(BystanderError):
            await settings.say(Scope.ACCOUNT, "acme", {"recording.banner": False, "recording.nothing": 1})
        assert (await settings.said(Scope.ACCOUNT, "acme")).version == 0


class TestRefusing:
    @pytest.mark.parametrize(
        ("scope", "key", "value", "code", "said"),
        [
            (Scope.ACCOUNT, "recording.bannner", True, "unknown_setting", "there is no such key"),
            (Scope.ACCOUNT, "banner", True, "unknown_setting", "there is no such key"),
            (Scope.ACCOUNT, "recording.banner", "yes", "invalid_setting", "Expected `bool`, got `str`"),
            (Scope.ACCOUNT, "recording.max_retries", 0, "invalid_setting", "`int` >= 1"),
            (Scope.ACCOUNT, "recording.allow_manual", ["BOSS"], "invalid_setting", "'BOSS'"),
            (Scope.ACCOUNT, "recording.filename_pattern", "{who}", "invalid_setting", "unknown field {who}"),
            (Scope.CONVERSATION, "recording.enabled", False, "setting_not_allowed", "account, template"),
            (Scope.ACCOUNT, "recording.width", 640, "setting_immutable", "only the server"),
            (Scope.ACCOUNT, "storage.url", "s3://mine", "setting_immutable", "only the server"),
            (Scope.TEMPLATE, "recording.consent", "none", "setting_locked", "the operator"),
        ],
    )
    def test_names_the_key_and_the_reason(
        self, scope: Scope, key: str, value: object, code: str, said: str
    ) -> None:
        with pytest.raises(BystanderError) as error:
            parse_setting(scope, key, value, locked=("consent",))
        assert (error.value.code, error.value.status) == (code, 422)
        assert error.value.detail.startswith(f"{key}: ")
        assert said in error.value.detail

    def test_every_default_may_be_said_where_its_key_may(self) -> None:
        for name, key in scoped_definitions().items():
            assert key.scopes == tuple(scope for scope in INNER_SCOPES if scope in key.scopes)
            for scope in key.scopes:
                plain = list(key.default) if isinstance(key.default, tuple) else key.default
                assert parse_setting(scope, name, plain, locked=()) == key.default
