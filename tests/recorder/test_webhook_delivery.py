"""Webhooks from the transaction to a real receiver: in order, at least once, and only what happened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook as Oracle

from recorder.database import ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.deliveries import Attempted, DeliveryTable
from recorder.database.outbox import enqueue
from recorder.database.webhooks import WebhookTable
from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.recording import RecordingState, RecordingType
from recorder.kernel.webhook import DeliveryState, EventType
from recorder.kernel.webhook_event import WebhookEvent
from recorder.webhooks.dispatcher import IN_FLIGHT_PER_WEBHOOK_MAX, Dispatcher, judge
from recorder.webhooks.metrics import WebhookMetrics
from recorder.webhooks.registrations import Webhooks
from recorder.webhooks.schedule import RETRY_PERIOD_S
from recorder.webhooks.sender import DeliveryOutcome, Sender
from signaling.webhook_port import Webhook, WebhookChange
from tests.support.postgres import Cluster
from tests.support.receiver import receiver

TIMEOUT_S = 5.0
DAY = timedelta(seconds=RETRY_PERIOD_S)


class Ahead(SystemClock):
    """A clock that a test can put forward: retries are due at once."""

    def __init__(self) -> None:
        self.by = timedelta()

    def utc_now(self) -> datetime:
        return super().utc_now() + self.by


@dataclass
class Desk:
    """What a test works with."""

    database: Database
    webhooks: Webhooks
    clock: Ahead
    dispatcher: Dispatcher

    async def register(self, url: str, *events: EventType, account: str | None = None) -> Webhook:
        return await self.webhooks.create(account=account, url=url, events=list(events), description=None)

    async def recording(self, account: str = "default") -> tuple[RecordingTable, RecordingRow]:
        now = self.clock.utc_now()
        conversation = Conversation(id=new_id("conv"), account=account, external_id="case", created_at=now)
        await ConversationTable(self.database).add(conversation)
        table = RecordingTable(self.database)
        row = RecordingRow(
            id=new_id("rec"),
            conversation=conversation.id,
            number=1,
            type=RecordingType.AUDIO_VIDEO,
            state=RecordingState.READY,
            object_key="k.mp4",
            filename="f.mp4",
            requested_at=now,
        )
        await table.add(row)
        return table, row

    async def live(self, *states: str, account: str = "default") -> RecordingRow:
        """A recording that goes through these states."""
        table, row = await self.recording(account)
        for state in states:
            row = msgspec.structs.replace(row, state=RecordingState(state))
            await table.save(row)
        return row

    async def told(self, text: str, conversation: str = "conv_x") -> None:
        """An event of our own, in a transaction of its own."""
        async with self.database.writing() as connection:
            await enqueue(connection, event(text, conversation))

    async def log(self, webhook: Webhook, state: DeliveryState | None = None) -> list[Any]:
        port = self.webhooks
        return list(await port.deliveries(webhook.id, account=None, state=state, after=None, limit=100))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            self.dispatcher.stop()
            await task


@asynccontextmanager
async def server_on(url: str) -> AsyncIterator[Desk]:
    """One of several servers on a database."""
    database = Database(url)
    await database.open()
    async with opened(database) as desk:
        yield desk
    await database.close()


def event(text: str, conversation: str = "conv_x") -> WebhookEvent:
    return WebhookEvent(
        type=EventType.RECORDING_STARTED,
        account="default",
        conversation=conversation,
        occurred_at=datetime.now(UTC),
        data={"text": text},
    )


def texts(received: list[Any]) -> list[str]:
    return [one.json["data"]["text"] for one in received]


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with opened(database) as one:
        yield one


@asynccontextmanager
async def opened(database: Database, *, allow_private: bool = True) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        clock = Ahead()
        sender = Sender(allow_private=allow_private, timeout_s=TIMEOUT_S, connections_max=16)
        await stack.enter_async_context(sender)
        webhooks = Webhooks(
            WebhookTable(database), DeliveryTable(database), sender, clock, allow_private=allow_private
        )
        dispatcher = Dispatcher(
            database,
            sender,
            clock,
            WebhookMetrics(CollectorRegistry()),
            timeout_s=TIMEOUT_S,
            in_flight_max=16,
            base_url="https://bystander.example",
        )
        yield Desk(database, webhooks, clock, dispatcher)


class TestARecordingsLife:
    async def test_is_told_with_all_that_a_receiver_wants_to_know(self, desk: Desk) -> None:
        async with receiver() as there, desk.running():
            webhook = await desk.register(there.url)
            row = await desk.live("RECORDING", "PAUSED", "RECORDING", "FINALIZING", "AVAILABLE")
            await there.until(lambda: len(there.taken) == 5 - 1)
        assert [one.json["type"] for one in there.taken] == [
            "recording.started",
            "recording.paused",
            "recording.resumed",
            "recording.available",
        ]
        assert webhook.secret is not None
        for one in there.taken:
            assert Oracle(webhook.secret).verify(one.body, one.headers)
        data = there.taken[-1].json["data"]
        assert data["conversation"]["id"] == row.conversation
        assert data["conversation"]["external_id"] == "case"
        wanted = "id type state started_at ended_at duration_s end_reason bytes mime_type attempts links"
        assert set(wanted.split()) <= set(data["recording"])
        base = "https://bystander.example/v1/recordings"
        assert data["recording"]["links"] == {"self": f"{base}/{row.id}", "media": f"{base}/{row.id}/media"}

    async def test_is_told_only_to_who_wants_it(self, desk: Desk) -> None:
        async with receiver() as there, receiver() as elsewhere, desk.running():
            await desk.register(there.url, EventType.RECORDING_FAILED, account="acme")
            await desk.register(elsewhere.url, account="other")
            await desk.live("RECORDING", "FAILED", account="acme")
            await there.until(lambda: len(there.received) == 1)
        assert there.received[0].json["type"] == "recording.failed"
        assert elsewhere.received == []

    async def test_is_not_told_when_its_transaction_is_rolled_back(self, desk: Desk) -> None:
        async with receiver() as there, desk.running():
            webhook = await desk.register(there.url)
            with pytest.raises(RuntimeError):
                async with desk.database.writing() as connection:
                    await enqueue(connection, event("never"))
                    raise RuntimeError
            await desk.told("once")
            await there.until(lambda: len(there.received) == 1)
            assert texts(there.received) == ["once"]
            assert len(await desk.log(webhook)) == 1


class TestDelivery:
    async def test_is_in_order_in_a_conversation_whatever_fails(self, desk: Desk) -> None:
        failures = iter([500, 503, 302])  # of the first event, before it is taken
        async with receiver(lambda told: next(failures, 204)) as there, desk.running():
            await desk.register(there.url)
            for text in "abcdef":
                await desk.told(text)
            for expected in range(1, 4):
                await there.until(lambda expected=expected: len(there.received) == expected)  # type: ignore[misc]
                await _retry_now(desk, there.url)
            await there.until(lambda: len(there.taken) >= 6)
        assert texts(there.taken) == list("abcdef")
        assert set(texts(there.received[:3])) == {"a"}
        assert len({one.id for one in there.received[:3]}) == 1  # a receiver can tell that it is the same

    async def test_one_conversation_does_not_wait_for_another(self, desk: Desk) -> None:
        def answer(told: Any) -> int:
            return 500 if told["data"]["text"] == "stuck" else 204

        async with receiver(answer) as there, desk.running():
            webhook = await desk.register(there.url)
            await desk.told("stuck", "conv_a")
            await desk.told("behind", "conv_a")
            await desk.told("free", "conv_b")
            await there.until(lambda: "free" in texts(there.taken))
            assert "behind" not in texts(there.received)

            async def noted() -> bool:
                return len(await desk.log(webhook, DeliveryState.PENDING)) == 2

            await _until(noted)
            waiting = await desk.log(webhook, DeliveryState.PENDING)
            assert [one.conversation for one in waiting] == ["conv_a", "conv_a"]

    async def test_of_a_receiver_that_hangs_leaves_room_for_others(self, desk: Desk) -> None:
        """Even when everything that waits the longest is for the one that hangs."""
        async with receiver(lambda told: 0) as stuck, receiver() as there:
            await desk.register(stuck.url)
            for number in range(20):
                await desk.told(f"stuck {number}", f"conv_{number}")
            await desk.register(there.url)
            for number in range(6):
                await desk.told(f"{number}", f"conv_{number}")
            async with desk.running():
                await there.until(lambda: len(there.taken) == 6)
                assert stuck.in_flight_most == IN_FLIGHT_PER_WEBHOOK_MAX
                assert len(stuck.received) == IN_FLIGHT_PER_WEBHOOK_MAX  # no time-out has made room

    async def test_a_full_day_of_failures_ends_in_a_disabled_webhook_that_can_be_enabled(
        self, desk: Desk
    ) -> None:
        answers = {"status": 500}
        async with receiver(lambda told: answers["status"]) as there, desk.running():
            webhook = await desk.register(there.url)
            await desk.told("a")
            await desk.told("b")
            await there.until(lambda: len(there.received) == 1)
            await _until(lambda: _failing(desk, webhook))
            desk.clock.by = DAY
            desk.database.appended.set()
            await _until(lambda: _disabled(desk, webhook))
            shown = await desk.webhooks.get(webhook.id, account=None)
            assert shown.disabled_reason == "failing_for_a_day"
            assert [one.state.value for one in await desk.log(webhook)] == ["GIVEN_UP", "PENDING"]
            await desk.told("nobody hears this")
            answers["status"] = 204
            await desk.webhooks.update(webhook.id, WebhookChange(enabled=True), account=None)
            await there.until(lambda: len(there.taken) == 1)
            assert texts(there.taken) == ["b"]

    async def test_gone_ends_it_at_once(self, desk: Desk) -> None:
        async with receiver(lambda told: 410) as there, desk.running():
            webhook = await desk.register(there.url)
            await desk.told("a")
            await _until(lambda: _disabled(desk, webhook))
            assert (await desk.webhooks.get(webhook.id, account=None)).disabled_reason == "gone"

    async def test_what_another_server_holds_is_not_sent_twice(self, postgres: Cluster) -> None:
        url = await asyncio.to_thread(postgres.new_database)
        async with receiver() as there, server_on(url) as desk, server_on(url) as second:
            await desk.register(there.url)
            for number in range(30):
                await desk.told(f"{number}", f"conv_{number % 6}")
            async with desk.running(), second.running():
                await there.until(lambda: len(there.received) >= 30)
            assert sorted(texts(there.received)) == sorted(str(number) for number in range(30))
            for of in range(6):
                mine = [int(text) for text in texts(there.received) if int(text) % 6 == of]
                assert mine == sorted(mine)


class TestTheGuard:
    @pytest.mark.parametrize("host", ["127.0.0.1", "0x7f000001", "localtest"])
    async def test_is_at_the_connection_whatever_the_name_says(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Names that slip through registration, and one whose address changes afterwards, reach nobody."""
        loop = asyncio.get_running_loop()
        looked_up = loop.getaddrinfo

        async def rebound(name: str, *args: Any, **kwargs: Any) -> Any:
            return await looked_up("127.0.0.1" if name == "localtest" else name, *args, **kwargs)

        monkeypatch.setattr(loop, "getaddrinfo", rebound)
        async with receiver() as there:
            url = f"http://{host}:{there.port}/"
            async with Sender(allow_private=False, timeout_s=TIMEOUT_S, connections_max=1) as sender:
                refused = (await sender.send(url, {}, b"{}")).failure
            assert refused in ("private_network", "invalid_url")
            assert there.received == []
            async with Sender(allow_private=True, timeout_s=TIMEOUT_S, connections_max=1) as sender:
                taken = (await sender.send(url, {}, b"{}")).failure is None
            assert taken == (refused == "private_network")  # it was the guard, and nothing else

    async def test_follows_no_redirect(self) -> None:
        async with (
            receiver(lambda told: 302) as there,
            Sender(allow_private=True, timeout_s=TIMEOUT_S, connections_max=1) as sender,
        ):
            outcome = await sender.send(there.url, {}, b"{}")
            assert (outcome.status, outcome.failure) == (302, "redirected")
            assert len(there.received) == 1

    async def test_waits_for_nobody_without_end(self) -> None:
        async with (
            receiver(lambda told: 0) as there,
            Sender(allow_private=True, timeout_s=0.2, connections_max=1) as sender,
        ):
            assert (await sender.send(there.url, {}, b"{}")).failure == "timeout"

    async def test_nobody_there_is_unreachable(self) -> None:
        async with Sender(allow_private=True, timeout_s=TIMEOUT_S, connections_max=1) as sender:
            assert (await sender.send("http://127.0.0.1:1/", {}, b"{}")).failure == "unreachable"


class TestRegistrations:
    async def test_tell_their_secret_once(self, desk: Desk) -> None:
        made = await desk.register("https://example.com/hook")
        assert made.secret is not None
        assert (await desk.webhooks.get(made.id, account=None)).secret is None
        assert [one.secret for one in await desk.webhooks.list(account=None, after=None, limit=9)] == [None]

    async def test_a_rotated_secret_signs_beside_the_one_before(self, desk: Desk) -> None:
        async with receiver() as there:
            old = await desk.register(there.url)
            new = await desk.webhooks.rotate(old.id, account=None)
            trial = await desk.webhooks.test(old.id, account=None)
            assert (trial.ok, trial.status) == (True, 204)
            desk.clock.by = timedelta(days=2)
            await desk.webhooks.test(old.id, account=None)
        for secret in (old.secret, new.secret):
            assert secret is not None
            told = Oracle(secret).verify(there.received[0].body, there.received[0].headers)
            assert told["type"] == "webhook.test"
        assert " " not in there.received[1].headers["webhook-signature"]

    async def test_of_another_account_are_not_there(self, desk: Desk) -> None:
        made = await desk.register("https://example.com/hook", account="acme")
        assert (await desk.webhooks.get(made.id, account="acme")).id == made.id
        change = WebhookChange(enabled=False)
        for refused in (
            desk.webhooks.get(made.id, account="other"),
            desk.webhooks.update(made.id, change, account="other"),
            desk.webhooks.delete(made.id, account="other"),
            desk.webhooks.test(made.id, account="other"),
        ):
            with pytest.raises(BystanderError, match="not_found"):
                await refused
        assert await desk.webhooks.list(account="other", after=None, limit=9) == []

    async def test_into_private_networks_are_refused(self, database: Database) -> None:
        async with opened(database, allow_private=False) as desk:
            with pytest.raises(BystanderError, match="private_network"):
                await desk.register("http://127.0.0.1/")

    async def test_that_are_deleted_leave_nothing(self, desk: Desk) -> None:
        made = await desk.register("http://127.0.0.1:1/")
        await desk.told("a")
        await desk.webhooks.delete(made.id, account=None)
        table = DeliveryTable(desk.database)
        assert await table.due(desk.clock.utc_now() + DAY, limit=9) == []
        await table.forget(desk.clock.utc_now() + DAY)


class TestJudging:
    @pytest.mark.parametrize(
        ("failure", "late", "state", "disable"),
        [
            (None, False, "DELIVERED", None),
            ("refused", False, "PENDING", None),
            ("refused", True, "GIVEN_UP", "failing_for_a_day"),
            ("gone", False, "GIVEN_UP", "gone"),
        ],
    )
    async def test_an_outcome(
        self, desk: Desk, failure: str | None, late: bool, state: str, disable: str | None
    ) -> None:
        webhook = await desk.register("http://127.0.0.1:1/")
        await desk.told("a")
        table = DeliveryTable(desk.database)
        (due,) = await table.due(desk.clock.utc_now(), limit=1)
        row = await table.claim(due, due.next_attempt_at + timedelta(seconds=1))
        assert row is not None
        assert await table.claim(due, due.next_attempt_at + timedelta(seconds=2)) is None
        failing = msgspec.structs.replace(row, failing_since=due.since)
        now = due.since + (DAY if late else timedelta(seconds=1))
        what: Attempted = judge(DeliveryOutcome(failure=failure), due, failing, now=now, chance=0.5)
        assert (what.state.value, what.disable) == (state, disable)
        await table.attempted(due, what)
        assert [one.state.value for one in await desk.log(webhook)] == [state]


async def _failing(desk: Desk, webhook: Webhook) -> bool:
    return (await desk.webhooks.get(webhook.id, account=None)).failing_since is not None


async def _disabled(desk: Desk, webhook: Webhook) -> bool:
    return (await desk.webhooks.get(webhook.id, account=None)).disabled_at is not None


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - a row tells nobody that it changed
            await asyncio.sleep(0.01)


async def _retry_now(desk: Desk, url: str) -> None:
    """Once the attempt is written down, let the retry be due."""
    (webhook,) = [
        one for one in await desk.webhooks.list(account=None, after=None, limit=9) if one.url == url
    ]
    count = len([1 for one in await desk.log(webhook) if one.attempts])

    async def noted() -> bool:
        first = (await desk.log(webhook))[0]
        return first.attempts > 0 and first.next_attempt_at is not None

    assert count <= 1
    await _until(noted)
    desk.clock.by += timedelta(minutes=10)
    desk.database.appended.set()
