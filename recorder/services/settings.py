"""What accounts, templates and conversations say of settings, as callers ask for it and change it."""

from typing import Any

import msgspec

from recorder.database import ConversationTable
from recorder.database.settings import Said
from recorder.services.effective_settings import ScopedSettings, template_of
from recorder.settings.scopes import Scope
from signaling.ports import EffectiveSetting, OwnSettings


class SettingsService:
    """Fulfils signaling.ports.Settings. `scope` is account, template or conversation."""

    def __init__(self, settings: ScopedSettings, conversations: ConversationTable) -> None:
        self._settings = settings
        self._conversations = conversations

    async def get(self, scope: str, owner: str, *, account: str) -> OwnSettings:
        said = await self._settings.said(Scope(scope), await self._stored(Scope(scope), owner, account))
        return _shown(owner, said)

    async def put(
        self, scope: str, owner: str, values: dict[str, Any], *, account: str, version: int | None
    ) -> OwnSettings:
        stored = await self._stored(Scope(scope), owner, account)
        return _shown(owner, await self._settings.say(Scope(scope), stored, values, version=version))

    async def effective(self, scope: str, owner: str, *, account: str) -> dict[str, EffectiveSetting]:
        found = await self._settings.explain(**await self._places(Scope(scope), owner, account))
        plain = {key: msgspec.to_builtins(one.value) for key, one in found.items()}
        return {key: EffectiveSetting(plain[key], one.scope.value) for key, one in found.items()}

    async def _stored(self, scope: Scope, owner: str, account: str) -> str:
        """Accounts and templates are whatever callers name so; a conversation has to be there."""
        if scope is Scope.CONVERSATION:
            await self._conversations.get(owner)
        return template_of(account, owner) if scope is Scope.TEMPLATE else owner

    async def _places(self, scope: Scope, owner: str, account: str) -> dict[str, Any]:
        if scope is Scope.ACCOUNT:
            return {"account": owner}
        if scope is Scope.TEMPLATE:
            return {"account": account, "template": owner}
        conversation = await self._conversations.get(owner)
        return {"account": conversation.account, "template": conversation.template, "conversation": owner}


def _shown(owner: str, said: Said) -> OwnSettings:
    return OwnSettings(scope=said.scope.value, owner=owner, version=said.version, values=said.values)
