"""Permissions: the scopes and reach of API keys, and a conversation's terms. Values only."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Consent, Role
from recorder.kernel.recording import StartsWith

AGENTS = frozenset({Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR})


class KeyScope(StrEnum):
    """One thing that a key may be used for. ADMIN is all of them; what writes also reads."""

    ADMIN = "admin"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    RECORDINGS_READ = "recordings:read"
    RECORDINGS_WRITE = "recordings:write"
    SETTINGS = "settings"
    WEBHOOKS = "webhooks"
    USAGE = "usage"
    AUDIT = "audit"


_INCLUDED: dict[KeyScope, frozenset[KeyScope]] = {
    KeyScope.ADMIN: frozenset(KeyScope),
    KeyScope.CONVERSATIONS_WRITE: frozenset({KeyScope.CONVERSATIONS_READ}),
    KeyScope.RECORDINGS_WRITE: frozenset({KeyScope.RECORDINGS_READ}),
}


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it may be shown: never the secret itself, which is told once, when it is made or rotated.

    `account` None: it reaches every account. `previous_until`: when the secret before the last rotation ends.
    """

    id: str
    name: str
    account: str | None
    scopes: list[KeyScope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    previous_until: datetime | None = None

    def may(self, scope: KeyScope) -> bool:
        """Whether one of its scopes is, or includes, this one."""
        return scope in granted(self.scopes)

    def reaches(self, account: str | None) -> bool:
        """Whether what belongs to this account is within its reach; None is every account together."""
        return self.account is None or self.account == account


def granted(scopes: list[KeyScope]) -> frozenset[KeyScope]:
    """These scopes with all that they include."""
    return frozenset(scopes).union(*(_INCLUDED.get(scope, frozenset()) for scope in scopes))


class IssuedKey(ApiKey, frozen=True, kw_only=True):
    """A key with its secret, told this once."""

    secret: str


class ConversationTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation's settings say of who sees, who may start, and what is announced and asked."""

    visible_to: frozenset[Role] = AGENTS
    allow_manual: frozenset[Role] = AGENTS
    allow_stop: frozenset[Role] = frozenset()  # what started by itself
    banner: str | None = "This call is being recorded"  # None: nothing is announced
    consent: Consent = Consent.ANNOUNCE
    starts_with: StartsWith = StartsWith.AGENT
