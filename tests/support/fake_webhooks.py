"""In-memory fulfilment of the webhooks port."""

import builtins
from datetime import UTC, datetime
from typing import Any

import msgspec

from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.ids import new_id
from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery
from signaling.webhook_port import Webhook, WebhookChange, WebhookTrial

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class FakeWebhooks:
    """`log` is what `deliveries` tells, whichever webhook is asked for."""

    def __init__(self) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.log: list[WebhookDelivery] = []

    async def create(
        self, *, account: str | None, url: str, events: builtins.list[EventType], description: str | None
    ) -> Webhook:
        if "127.0.0.1" in url:
            raise caller_error("private_network", "Webhooks may not reach private networks.", status=422)
        made = Webhook(
            id=new_id("whk"),
            account=account,
            url=url,
            events=events,
            description=description,
            created_at=CREATED_AT,
        )
        self.webhooks[made.id] = made
        return msgspec.structs.replace(made, secret="whsec_AAAA")

    async def get(self, webhook: str, *, account: str | None) -> Webhook:
        found = self.webhooks.get(webhook)
        if found is None or account not in (None, found.account):
            raise not_found("webhook")
        return found

    async def list(self, *, account: str | None, after: str | None, limit: int) -> list[Webhook]:
        found = sorted(self.webhooks.values(), key=lambda one: one.id)
        mine = [one for one in found if account in (None, one.account)]
        return [one for one in mine if after is None or one.id > after][:limit]

    async def update(self, webhook: str, change: WebhookChange, *, account: str | None) -> Webhook:
        found = await self.get(webhook, account=account)
        values: dict[str, Any] = {
            name: getattr(change, name)
            for name in ("url", "events", "description")
            if getattr(change, name) is not None
        }
        if change.enabled is not None:
            values["disabled_at"] = None if change.enabled else CREATED_AT
        self.webhooks[webhook] = msgspec.structs.replace(found, **values)
        return self.webhooks[webhook]

    async def delete(self, webhook: str, *, account: str | None) -> None:
        await self.get(webhook, account=account)
        del self.webhooks[webhook]

    async def rotate(self, webhook: str, *, account: str | None) -> Webhook:
        found = await self.get(webhook, account=account)
        return msgspec.structs.replace(found, secret="whsec_BBBB")

    async def test(self, webhook: str, *, account: str | None) -> WebhookTrial:
        await self.get(webhook, account=account)
        return WebhookTrial(ok=True, status=204, failure=None, seconds=0.01)

    async def deliveries(
        self,
        webhook: str,
        *,
        account: str | None,
        state: DeliveryState | None,
        newest_first: bool = False,
        after: str | None,
        limit: int,
    ) -> builtins.list[WebhookDelivery]:
        await self.get(webhook, account=account)
        found = [one for one in self.log if state in (None, one.state)]
        if newest_first:
            return [one for one in reversed(found) if after is None or one.id < after][:limit]
        return [one for one in found if after is None or one.id > after][:limit]
