"""Whose webhooks take what of the delivery: nobody's silent receiver keeps another's events waiting."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from recorder.database import Database
from recorder.database.connection import sqlite_url
from recorder.database.deliveries import DeliveryTable, Due
from recorder.database.outbox import enqueue
from recorder.database.webhooks import WebhookTable
from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.webhook import EventType
from recorder.kernel.webhook_event import WebhookEvent
from recorder.webhooks import registrations
from recorder.webhooks.dispatcher import Dispatcher
from recorder.webhooks.metrics import WebhookMetrics
from recorder.webhooks.registrations import Webhooks
from recorder.webhooks.sealing import SecretSeal
from recorder.webhooks.sender import DeliveryOutcome, Sender

WAIT_S = 10.0
SILENT = "https://silent.example"


class Receivers(Sender):
    """Answers at once, but for the silent ones, which answer when they are let."""

    def __init__(self) -> None:
        super().__init__(allow_private=False, timeout_s=1, connections_max=1)
        self.posted: list[str] = []
        self.answered = asyncio.Event()
        self.came = asyncio.Condition()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> DeliveryOutcome:
        self.posted.append(url)
        async with self.came:
            self.came.notify_all()
        if url.startswith(SILENT):
            await self.answered.wait()
            return DeliveryOutcome(failure="timeout")
        return DeliveryOutcome(status=200)

    async def until(self, url: str, times: int) -> None:
        async with asyncio.timeout(WAIT_S), self.came:
            await self.came.wait_for(lambda: self.posted.count(url) >= times)


class Desk:
    def __init__(self, database: Database, seal: SecretSeal | None = None) -> None:
        self.clock = ManualClock(utc=datetime.now(UTC))
        self.database = database
        self.receivers = Receivers()
        table, deliveries = WebhookTable(database), DeliveryTable(database)
        self.webhooks = Webhooks(
            table, deliveries, self.receivers, self.clock, allow_private=False, seal=seal
        )
        self.dispatcher = Dispatcher(
            database,
            self.receivers,
            self.clock,
            WebhookMetrics(CollectorRegistry()),
            timeout_s=1,
            in_flight_max=16,
            base_url="",
            seal=seal,
        )

    async def register(self, account: str, url: str) -> None:
        await self.webhooks.create(account=account, url=url, events=[], description=None)

    async def happen(self, account: str, conversation: str) -> None:
        event = WebhookEvent(
            type=EventType.RECORDING_STARTED,
            account=account,
            conversation=conversation,
            occurred_at=self.clock.utc_now(),
            data={},
        )
        async with self.database.writing() as connection:
            await enqueue(connection, event)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = Database(sqlite_url(tmp_path / "b.db"))
    await database.open()
    yield Desk(database)
    await database.close()


async def test_silent_receivers_of_one_account_keep_nobody_waiting(desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        for number in range(8):
            await desk.register("eve", f"{SILENT}/{number}")
        await desk.register("ann", "https://ann.example")
        for number in range(5):
            await desk.happen("eve", f"conv_e{number}")
        await desk.happen("ann", "conv_a")
        running = asyncio.create_task(desk.dispatcher.run())
        stack.push_async_callback(asyncio.wait, [running])
        stack.callback(desk.dispatcher.stop)
        await desk.receivers.until("https://ann.example", 1)
        for number in range(3):  # and again while eve's are still silent
            await desk.happen("ann", f"conv_a{number}")
        await desk.receivers.until("https://ann.example", 4)
        assert sum(url.startswith(SILENT) for url in desk.receivers.posted) == 6


async def test_those_that_fail_leave_half_to_those_that_do_not(desk: Desk) -> None:
    now = desk.clock.utc_now()

    def due(webhook: str, account: str, failing: bool) -> Due:
        return Due(
            id="d", webhook=webhook, account=account, failing_since=now if failing else None, event="e",
            type=EventType.RECORDING_STARTED, conversation="c", occurred_at=now, data={}, attempts=0,
            since=now, next_attempt_at=now,
        )  # fmt: skip

    async def forever() -> None:
        await desk.receivers.answered.wait()

    tasks = [asyncio.create_task(forever()) for _ in range(8)]
    for number, task in enumerate(tasks):
        desk.dispatcher._delivering[task] = due(f"w{number}", f"account {number}", True)
    assert not desk.dispatcher._has_room(due("w", "another", True))
    assert desk.dispatcher._has_room(due("w", "another", False))
    desk.receivers.answered.set()
    await asyncio.wait(tasks)


async def test_an_account_has_a_share_of_what_may_be_registered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "WEBHOOKS_PER_ACCOUNT_MAX", 2)
    for number in range(2):
        await desk.register("eve", f"https://e{number}.example")
    with pytest.raises(BystanderError, match="too_many_webhooks"):
        await desk.register("eve", "https://e.example")
    await desk.register("ann", "https://ann.example")


async def test_test_events_have_a_share_of_their_own(desk: Desk) -> None:
    hook = await desk.webhooks.create(account="eve", url=SILENT, events=[], description=None)
    trials = [asyncio.create_task(desk.webhooks.test(hook.id, account="eve")) for _ in range(2)]
    await desk.receivers.until(SILENT, 2)
    with pytest.raises(BystanderError, match="too_many_trials"):
        await desk.webhooks.test(hook.id, account="eve")
    await desk.register("ann", "https://ann.example")
    (ann,) = await desk.webhooks.list(account="ann", after=None, limit=1)
    assert (await desk.webhooks.test(ann.id, account="ann")).ok
    desk.receivers.answered.set()
    assert not any([(await trial).ok for trial in trials])


class TestSeal:
    def test_opens_what_it_sealed_and_what_never_was(self) -> None:
        seal = SecretSeal(b"k" * 32)
        sealed = seal.seal("whsec_abc")
        assert "abc" not in sealed
        assert (seal.open(sealed), seal.open("whsec_abc")) == ("whsec_abc", "whsec_abc")
        assert len(seal.seal("whsec_" + "x" * 44)) <= 128  # as the column has it
        with pytest.raises(BystanderError, match="secret_unreadable"):
            SecretSeal(b"o" * 32).open(sealed)
        assert SecretSeal(None).seal("whsec_abc") == "whsec_abc"

    async def test_who_reads_the_database_cannot_sign(self, desk: Desk, tmp_path: Path) -> None:
        old = await desk.webhooks.create(account=None, url="https://a.example", events=[], description=None)
        sealed = Desk(desk.database, SecretSeal(b"k" * 32))
        await sealed.webhooks.seal_all()
        new = await sealed.webhooks.create(account=None, url="https://b.example", events=[], description=None)
        await sealed.webhooks.rotate(new.id, account=None)
        with sqlite3.connect(tmp_path / "b.db") as database:
            rows = database.execute("SELECT secret, previous_secret FROM webhooks").fetchall()
        assert len(rows) == 2
        assert all(text is None or text.startswith("sealed1:") for row in rows for text in row)
        assert old.secret is not None
        row = await WebhookTable(desk.database).get(old.id)
        assert SecretSeal(b"k" * 32).open(row.secret) == old.secret
        assert (await sealed.webhooks.test(old.id, account=None)).ok
