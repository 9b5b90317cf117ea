"""Webhooks of a running server: registered by callers, delivered beside everything else."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from recorder.database import Database
from recorder.database.deliveries import DeliveryTable
from recorder.database.webhooks import WebhookTable
from recorder.kernel.clock import Clock
from recorder.settings.definitions import WebhookSettings
from recorder.webhooks.dispatcher import Dispatcher
from recorder.webhooks.metrics import WebhookMetrics
from recorder.webhooks.registrations import Webhooks
from recorder.webhooks.sender import Sender

_log = logging.getLogger(__name__)


class WebhookService:
    """Use `open`. `registrations` is what callers reach."""

    def __init__(self, registrations: Webhooks, dispatcher: Dispatcher) -> None:
        self.registrations = registrations
        self._dispatcher = dispatcher

    @classmethod
    async def open(
        cls,
        database: Database,
        settings: WebhookSettings,
        clock: Clock,
        stack: AsyncExitStack,
        registry: CollectorRegistry,
        *,
        base_url: Callable[[], str],
    ) -> "WebhookService":
        """Make all of it; nothing is delivered before `start`."""
        sender = Sender(
            allow_private=settings.allow_private_networks,
            timeout_s=settings.timeout_s,
            connections_max=settings.deliveries_in_flight_max,
        )
        await stack.enter_async_context(sender)
        registrations = Webhooks(
            WebhookTable(database),
            DeliveryTable(database),
            sender,
            clock,
            allow_private=settings.allow_private_networks,
        )
        dispatcher = Dispatcher(
            database,
            sender,
            clock,
            WebhookMetrics(registry),
            timeout_s=settings.timeout_s,
            in_flight_max=settings.deliveries_in_flight_max,
            base_url=base_url,
        )
        return cls(registrations, dispatcher)

    def start(self, stack: AsyncExitStack) -> None:
        """Deliver what waits and what comes, until `stack` is closed."""
        task = asyncio.create_task(self._dispatcher.run(), name="webhooks")
        task.add_done_callback(_told)

        async def stop() -> None:
            self._dispatcher.stop()
            await asyncio.wait([task])

        stack.push_async_callback(stop)


def _told(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a defect ended the delivery of webhooks", exc_info=error)
