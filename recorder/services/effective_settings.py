"""Settings as they count for one conversation, and as each scope may change them.

`await ScopedSettings.effective(conversation)` is what everything that decides about recording a conversation
asks: the `recording` table of the settings, each key with the value that its innermost scope gave it. Ask
once when a recording is asked for and keep the answer with it, so that a change in mid-call changes no
running recording. `everything(conversation)` has the other tables that inner scopes speak of too.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from recorder.database.settings import Said, SettingsTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError, caller_error
from recorder.settings.definitions import (
    DEFAULT_STORE,
    Definition,
    RecordingSettings,
    Settings,
    definitions,
    sections,
)
from recorder.settings.parsing import parse_setting
from recorder.settings.scopes import Layer, Resolved, Scope, resolve

SECTION = "recording"  # whose keys the operator can lock

RecordingSettings = RecordingSettings
"""The recording table of the settings, as it counts for one conversation."""

_log = logging.getLogger(__name__)


class ScopedSettings:
    """One for each server; `server` is what the operator says in the outermost scope."""

    def __init__(self, server: Settings, table: SettingsTable, clock: Clock) -> None:
        self._server = server
        self._locked = server.recording.locked
        self._table = table
        self._clock = clock
        self._outer = (
            Layer(Scope.DEFAULT, _plain(Settings())),
            Layer(Scope.SERVER, _differing(server)),
        )

    async def effective(self, conversation: Conversation) -> RecordingSettings:
        """The recording settings that count for this conversation now."""
        return (await self.everything(conversation)).recording

    async def everything(self, conversation: Conversation) -> Settings:
        """All settings as they count for this conversation now."""
        found = await self.explain(
            account=conversation.account, template=conversation.template, conversation=conversation.id
        )
        return _with(self._server, found)

    async def explain(
        self, *, account: str, template: str | None = None, conversation: str | None = None
    ) -> dict[str, Resolved]:
        """Every scoped key with its value and the scope that said it, for whoever stands there."""
        asked = [(Scope.ACCOUNT, account)]
        if template is not None:
            asked.append((Scope.TEMPLATE, template_of(account, template)))
        if conversation is not None:
            asked.append((Scope.CONVERSATION, conversation))
        said = await self._table.of(asked)
        inner = [Layer(scope, dict(_still_valid(said[scope]))) for scope, _ in asked if scope in said]
        locked = {f"{SECTION}.{name}" for name in self._locked}
        return resolve([*self._outer, *inner], narrowing=NARROWING, locked=locked)

    async def said(self, scope: Scope, owner: str) -> Said:
        """What this owner itself says."""
        return await self._table.get(scope, owner)

    async def say(
        self, scope: Scope, owner: str, values: Mapping[str, Any], *, version: int | None = None
    ) -> Said:
        """Replace all that this owner says. `version`: the one that it has to have now; None: any.

        Raises 422 unknown_setting, invalid_setting, setting_not_allowed, setting_immutable, setting_locked
        (the detail begins with the key); 412 settings_changed.
        """
        parsed = {key: parse_setting(scope, key, value, locked=self._locked) for key, value in values.items()}
        self._check_store(parsed.get(f"{SECTION}.store"))
        before = await self._table.get(scope, owner)
        if version is not None and version != before.version:
            raise _changed(before.version)
        kept = {key: msgspec.to_builtins(value) for key, value in parsed.items()}
        now = Said(scope=scope, owner=owner, values=kept, version=before.version + 1)
        if not await self._table.put(now, self._clock.utc_now()):
            raise _changed(now.version)
        return now

    def _check_store(self, name: str | None) -> None:
        """Only the operator knows how a store is reached; others choose among those."""
        there = (DEFAULT_STORE, *self._server.stores)
        if name is not None and name not in there:
            detail = f"{SECTION}.store: there is no store {name!r}; there are {', '.join(there)}."
            raise caller_error("invalid_setting", detail, status=422)


def template_of(account: str, template: str) -> str:
    """The owner that stands for a template: every account has its own, whatever they are called."""
    return f"{account}/{template}"


def scoped_definitions() -> dict[str, Definition]:
    """The keys that inner scopes may say, by full name, in the order in which they are written down."""
    return {
        f"{section}.{name}": key
        for section, kind in sections().items()
        for name, key in definitions(kind).items()
        if key.scopes
    }


NARROWING = frozenset(name for name, key in scoped_definitions().items() if key.narrows)


def _with(server: Settings, found: Mapping[str, Resolved]) -> Settings:
    tables: dict[str, dict[str, Any]] = {}
    for key, resolved in found.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = resolved.value
    replaced = {
        section: msgspec.structs.replace(getattr(server, section), **values)
        for section, values in tables.items()
    }
    return msgspec.structs.replace(server, **replaced)


def _plain(settings: Settings) -> dict[str, Any]:
    return {
        name: getattr(getattr(settings, name.partition(".")[0]), key.name)
        for name, key in scoped_definitions().items()
    }


def _differing(server: Settings) -> dict[str, Any]:
    """What the operator says; where that is the default, nobody can tell whether it was said."""
    default = _plain(Settings())
    return {name: value for name, value in _plain(server).items() if value != default[name]}


def _still_valid(said: Said) -> Iterator[tuple[str, Any]]:
    """What was stored, without what a later release no longer takes: that must not stop a recording."""
    for key, value in said.values.items():
        try:
            yield key, parse_setting(said.scope, key, value, locked=())
        except BystanderError as error:
            where = {"scope": said.scope, "owner": said.owner, "detail": error.detail}
            _log.warning("a stored setting is no longer valid and is left out", extra=where)


def _changed(version: int) -> BystanderError:
    detail = f"The settings were changed meanwhile; their version is {version}."
    return caller_error("settings_changed", detail, status=412)
