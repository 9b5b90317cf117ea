"""The dispatcher of the outbox: in order per conversation, with bounded concurrency, until an event is taken.

One task looks for what is due and lets others send it. It sleeps until a transaction puts something into the
outbox, until the next retry is due, or for a while: another server on the same database may have been killed.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction

from recorder.database.connection import Database
from recorder.database.deliveries import Attempted, DeliveryTable, Due
from recorder.database.webhooks import WebhookRow
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.kernel.webhook_event import body
from recorder.webhooks.metrics import WebhookMetrics
from recorder.webhooks.schedule import is_lost, next_attempt
from recorder.webhooks.sealing import SecretSeal
from recorder.webhooks.sender import DeliveryOutcome, Sender
from recorder.webhooks.signature import signed_headers

POLL_S = 5.0  # how late what another server left behind is noticed
IN_FLIGHT_PER_WEBHOOK_MAX = 4  # a receiver that hangs leaves room for the others
ACCOUNT_PART = Fraction(3, 8)  # of all that may be in flight, for the webhooks of one account
FAILING_PART = Fraction(1, 2)  # for all receivers that failed last, whosever they are
CLAIM_MARGIN_S = 5.0  # beyond the time-out of an attempt: to write down what came of it
LOG_DAYS = 30
FORGET_PERIOD_S = 3600.0

_log = logging.getLogger(__name__)


class Dispatcher:
    """`run` it for as long as the server lives, and `stop` it: what is in flight is left to the next one."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        clock: Clock,
        metrics: WebhookMetrics,
        *,
        timeout_s: float,
        in_flight_max: int,
        base_url: str,
        seal: SecretSeal | None = None,
    ) -> None:
        self._seal = seal or SecretSeal(None)
        self._table = DeliveryTable(database)
        self._appended = database.appended
        self._is_shared = database.is_shared
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._claim = timedelta(seconds=timeout_s + CLAIM_MARGIN_S)
        self._in_flight_max = in_flight_max
        self._base_url = base_url
        self._account_max = max(1, int(in_flight_max * ACCOUNT_PART))
        self._failing_max = max(1, int(in_flight_max * FAILING_PART))
        self._delivering: dict[asyncio.Task[None], Due] = {}
        self._posting: set[asyncio.Task[DeliveryOutcome]] = set()
        self._stopping = False
        self._forgotten_at: datetime | None = None

    async def run(self) -> None:
        """Returns after `stop`. A database that refuses only delays it."""
        await self._begin()
        while not self._stopping:
            self._appended.clear()
            await self._wait(await self._round())
        if self._delivering:
            await asyncio.wait(self._delivering)

    def stop(self) -> None:
        """Break off what is being posted; never what is being written down, so it is no cancellation."""
        self._stopping = True
        self._appended.set()
        for task in self._posting:
            task.cancel()

    async def _begin(self) -> None:
        if not self._is_shared:
            try:
                await self._table.take_up(self._clock.utc_now())
            except BystanderError as error:
                _log.warning("what waits for webhooks is tried again later", extra={"code": error.code})

    async def _round(self) -> float:
        """Start what can be started; the seconds until there may be more, if nothing happens before."""
        now = self._clock.utc_now()
        try:
            await self._forget(now)
            await self._start_due(now)
            upcoming = await self._table.next_due(now)
        except BystanderError as error:
            _log.error("webhooks cannot be told now", extra={"code": error.code})
            return POLL_S
        return POLL_S if upcoming is None else min(POLL_S, max(0.0, (upcoming - now).total_seconds()))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._appended.wait()
        except TimeoutError:
            return

    async def _start_due(self, now: datetime) -> None:
        """Look again for as long as something was started: a webhook that has its share hides the others."""
        while not self._stopping and (room := self._in_flight_max - len(self._delivering)) > 0:
            webhooks, accounts, failing = self._in_flight()
            found = await self._table.due(
                now,
                limit=room,
                without=_full(webhooks, IN_FLIGHT_PER_WEBHOOK_MAX),
                without_accounts=_full(accounts, self._account_max),
                healthy=failing >= self._failing_max,
            )
            started = [due for due in found if await self._start_one(due, now)]
            if not started:
                return

    async def _start_one(self, due: Due, now: datetime) -> bool:
        """Whether there was room for it, and nobody else had it."""
        if not self._has_room(due):
            return False
        webhook = await self._table.claim(due, now + self._claim)
        if webhook is None:
            return False
        self._start(due, webhook)
        return True

    def _in_flight(self) -> tuple[Counter[str], Counter[str], int]:
        """What is being posted: by webhook, by account, and to how many that failed last."""
        posting = self._delivering.values()
        failing = sum(due.failing_since is not None for due in posting)
        return Counter(due.webhook for due in posting), _of_accounts(posting), failing

    def _has_room(self, due: Due) -> bool:
        """Whether its receiver, its account and those that fail have a share of what is in flight left."""
        webhooks, accounts, failing = self._in_flight()
        if webhooks[due.webhook] >= IN_FLIGHT_PER_WEBHOOK_MAX:
            return False
        if due.account is not None and accounts[due.account] >= self._account_max:
            return False
        return due.failing_since is None or failing < self._failing_max

    def _start(self, due: Due, webhook: WebhookRow) -> None:
        task = asyncio.create_task(self._deliver(due, webhook), name=f"webhook delivery {due.id}")
        self._delivering[task] = due
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._delivering[task]
        self._appended.set()  # there is room, and what came after it may be due
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect while telling a webhook", exc_info=error)

    async def _deliver(self, due: Due, webhook: WebhookRow) -> None:
        posted = self._clock.utc_now()
        told = body(due.type, due.occurred_at, due.data, base_url=self._base_url)
        try:
            secrets = [self._seal.open(secret) for secret in webhook.signing_secrets(posted)]
        except BystanderError as error:
            outcome: DeliveryOutcome | None = DeliveryOutcome(failure=error.code)
        else:
            headers = signed_headers(due.event, told, secrets, unix_s=int(posted.timestamp()))
            outcome = await self._post(webhook.url, headers, told)
        if outcome is None:
            return
        what = judge(outcome, due, webhook, now=self._clock.utc_now(), chance=random.random())
        self._metrics.attempted(what.failure, since_event_s=(what.at - due.occurred_at).total_seconds())
        extra = {"webhook": due.webhook, "event": due.event, "type": due.type, "failure": what.failure}
        _log.log(logging.INFO if what.failure is None else logging.WARNING, "webhook attempt", extra=extra)
        try:
            await self._table.attempted(due, what)
        except BystanderError as error:  # the claim ends by itself, and it is sent once more
            _log.error("a delivery is not written down", extra={**extra, "code": error.code})

    async def _post(self, url: str, headers: dict[str, str], told: bytes) -> DeliveryOutcome | None:
        """None: it was broken off by `stop`."""
        task = asyncio.create_task(self._sender.send(url, headers, told))
        self._posting.add(task)
        await asyncio.wait([task])
        self._posting.discard(task)
        return None if task.cancelled() else task.result()

    async def _forget(self, now: datetime) -> None:
        if self._forgotten_at is None or now - self._forgotten_at >= timedelta(seconds=FORGET_PERIOD_S):
            self._forgotten_at = now
            await self._table.forget(now - timedelta(days=LOG_DAYS))


def _of_accounts(posting: Iterable[Due]) -> Counter[str]:
    """By account; webhooks that hear of every account are the operator's own, and nobody's share."""
    return Counter(due.account for due in posting if due.account is not None)


def _full(counts: Counter[str], most: int) -> set[str]:
    return {who for who, count in counts.items() if count >= most}


def judge(
    outcome: DeliveryOutcome, due: Due, webhook: WebhookRow, *, now: datetime, chance: float
) -> Attempted:
    """What an attempt means: taken, tried again later, or given up, for this webhook perhaps altogether."""
    gone = outcome.failure == "gone"
    retry_at = None
    if outcome.failure is not None and not gone:
        retry_at = next_attempt(due.attempts + 1, since=due.since, now=now, chance=chance)
    disable = "gone" if gone else None
    failing_since = webhook.failing_since
    if outcome.failure is not None and retry_at is None and failing_since and is_lost(failing_since, now):
        disable = disable or "failing_for_a_day"
    return Attempted(
        at=now, status=outcome.status, failure=outcome.failure, retry_at=retry_at, disable=disable
    )
