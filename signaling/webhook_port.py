"""The port of webhooks: registrations, their trial, and the log of what was delivered."""

import builtins
from datetime import datetime
from typing import Protocol

import msgspec

from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where events go. `secret` is told when it is made or rotated, and never again.

    `account` None: of every account. `events` empty: all of them. `failing_since`: no success since then.
    """

    id: str
    account: str | None
    url: str
    events: list[EventType]
    description: str | None
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    secret: str | None = None


class WebhookTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a `webhook.test` event that was just posted."""

    ok: bool
    status: int | None
    failure: str | None
    seconds: float


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; None leaves it. `enabled` True tries again whatever waits."""

    url: str | None = None
    events: list[EventType] | None = None
    description: str | None = None
    enabled: bool | None = None


class Webhooks(Protocol):
    """`account`: the only one that the caller reaches; None: all. 404 not_found beyond it."""

    async def create(
        self, *, account: str | None, url: str, events: list[EventType], description: str | None
    ) -> Webhook:
        """422 invalid_url, private_network; 409 too_many_webhooks."""
        ...

    async def get(self, webhook: str, *, account: str | None) -> Webhook: ...
    async def list(self, *, account: str | None, after: str | None, limit: int) -> list[Webhook]: ...
    async def update(self, webhook: str, change: WebhookChange, *, account: str | None) -> Webhook: ...
    async def delete(self, webhook: str, *, account: str | None) -> None: ...
    async def rotate(self, webhook: str, *, account: str | None) -> Webhook:
        """A new secret; for a day the one before signs too."""
        ...

    async def test(self, webhook: str, *, account: str | None) -> WebhookTrial: ...
    async def deliveries(
        self,
        webhook: str,
        *,
        account: str | None,
        state: DeliveryState | None,
        newest_first: bool,
        after: str | None,
        limit: int,
    ) -> builtins.list[WebhookDelivery]: ...
