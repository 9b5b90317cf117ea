"""Webhooks as callers register, change and try them."""

import builtins
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from recorder.database.deliveries import DeliveryTable
from recorder.database.webhooks import WebhookRow, WebhookTable
from recorder.kernel.clock import Clock
from recorder.kernel.errors import caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery
from recorder.kernel.webhook_event import body
from recorder.webhooks.networks import check_target
from recorder.webhooks.sealing import SecretSeal
from recorder.webhooks.sender import Sender
from recorder.webhooks.signature import new_signing_secret, signed_headers
from signaling.webhook_port import Webhook, WebhookChange, WebhookTrial

WEBHOOKS_MAX = 1000  # each is looked at for every event
WEBHOOKS_PER_ACCOUNT_MAX = 100  # so that no account takes the others' share
TRIALS_MAX = 8  # test events that are being posted at once
TRIALS_PER_ACCOUNT_MAX = 2
SECRET_OVERLAP = timedelta(days=1)
TEST_EVENT = "webhook.test"


class Webhooks:
    """Fulfils signaling.webhook_port.Webhooks."""

    def __init__(
        self,
        table: WebhookTable,
        deliveries: DeliveryTable,
        sender: Sender,
        clock: Clock,
        *,
        allow_private: bool,
        seal: SecretSeal | None = None,
    ) -> None:
        self._table = table
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._allow_private = allow_private
        self._seal = seal or SecretSeal(None)
        self._trials: Counter[str | None] = Counter()

    async def create(
        self, *, account: str | None, url: str, events: builtins.list[EventType], description: str | None
    ) -> Webhook:
        check_target(url, allow_private=self._allow_private)
        await self._check_room(account)
        secret = new_signing_secret()
        row = WebhookRow(
            id=new_id("whk"),
            account=account,
            url=url,
            events=events,
            description=description,
            secret=self._seal.seal(secret),
            created_at=self._clock.utc_now(),
        )
        await self._table.add(row)
        return _shown(row, secret=secret)

    async def seal_all(self) -> None:
        """Seal what an earlier version left as it was."""
        for row in await self._table.list(account=None, after=None, limit=WEBHOOKS_MAX):
            kept = {"secret": row.secret, "previous_secret": row.previous_secret}
            opened = {name: text for name, text in kept.items() if text and self._seal.is_open(text)}
            if opened:
                sealed = {name: self._seal.seal(text) for name, text in opened.items()}
                await self._table.change(row.id, **sealed)

    async def get(self, webhook: str, *, account: str | None) -> Webhook:
        return _shown(await self._table.get(webhook, account=account))

    async def list(self, *, account: str | None, after: str | None, limit: int) -> list[Webhook]:
        return [_shown(row) for row in await self._table.list(account=account, after=after, limit=limit)]

    async def update(self, webhook: str, change: WebhookChange, *, account: str | None) -> Webhook:
        await self._table.get(webhook, account=account)
        if change.url is not None:
            check_target(change.url, allow_private=self._allow_private)
        plain = {name: getattr(change, name) for name in ("url", "events", "description")}
        values = {name: value for name, value in plain.items() if value is not None}
        if values:
            await self._table.change(webhook, **values)
        now = self._clock.utc_now()
        if change.enabled is True:
            await self._table.enable(webhook, now)
        elif change.enabled is False:
            await self._table.change(webhook, disabled_at=now, disabled_reason="by_request")
        return await self.get(webhook, account=account)

    async def delete(self, webhook: str, *, account: str | None) -> None:
        await self._table.get(webhook, account=account)
        await self._table.delete(webhook)

    async def rotate(self, webhook: str, *, account: str | None) -> Webhook:
        before = await self._table.get(webhook, account=account)
        secret = new_signing_secret()
        until = self._clock.utc_now() + SECRET_OVERLAP
        sealed = self._seal.seal(secret)
        await self._table.change(webhook, secret=sealed, previous_secret=before.secret, previous_until=until)
        return _shown(await self._table.get(webhook, account=account), secret=secret)

    async def test(self, webhook: str, *, account: str | None) -> WebhookTrial:
        """Posts at once, past the outbox, also while the webhook is disabled; counts for nothing."""
        row, now = await self._table.get(webhook, account=account), self._clock.utc_now()
        told = body(TEST_EVENT, now, {"webhook": row.id}, base_url="")
        signing = [self._seal.open(secret) for secret in row.signing_secrets(now)]
        headers = signed_headers(new_id("evt"), told, signing, unix_s=int(now.timestamp()))
        with self._trial(row.account):
            outcome = await self._sender.send(row.url, headers, told)
        return WebhookTrial(
            ok=outcome.failure is None,
            status=outcome.status,
            failure=outcome.failure,
            seconds=outcome.seconds,
        )

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
        await self._table.get(webhook, account=account)
        return await self._deliveries.log(
            webhook, state=state, newest_first=newest_first, after=after, limit=limit
        )

    @contextmanager
    def _trial(self, account: str | None) -> Iterator[None]:
        """429 too_many_trials beyond the account's share of test events on their way."""
        if self._trials[account] >= TRIALS_PER_ACCOUNT_MAX or self._trials.total() >= TRIALS_MAX:
            detail = "Other test events are on their way; try again when they have been answered."
            raise caller_error("too_many_trials", detail, status=429)
        self._trials[account] += 1
        try:
            yield
        finally:
            self._trials[account] -= 1
            if not self._trials[account]:
                del self._trials[account]

    async def _check_room(self, account: str | None) -> None:
        """409 too_many_webhooks where the account, or everybody together, has all there may be."""
        if account is not None and await self._table.count(account) >= WEBHOOKS_PER_ACCOUNT_MAX:
            detail = f"This account has {WEBHOOKS_PER_ACCOUNT_MAX} already."
            raise caller_error("too_many_webhooks", detail, status=409)
        if await self._table.count() >= WEBHOOKS_MAX:
            raise caller_error("too_many_webhooks", f"There are {WEBHOOKS_MAX} already.", status=409)


def _shown(row: WebhookRow, *, secret: str | None = None) -> Webhook:
    known = {name: getattr(row, name) for name in Webhook.__struct_fields__ if name != "secret"}
    return Webhook(**known, secret=secret)
