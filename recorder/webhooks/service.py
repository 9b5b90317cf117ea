"""Webhooks of a running server: registered by callers, delivered beside everything else."""

from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from recorder.database import Database
from recorder.database.deliveries import DeliveryTable
from recorder.database.webhooks import WebhookTable
from recorder.kernel.clock import Clock
from recorder.kernel.network.proxy import Proxy
from recorder.node.background_task import BackgroundTask
from recorder.settings.definitions import WebhookSettings
from recorder.webhooks.dispatcher import Dispatcher
from recorder.webhooks.metrics import WebhookMetrics
from recorder.webhooks.registrations import TRIALS_MAX, Webhooks
from recorder.webhooks.sealing import SecretSeal
from recorder.webhooks.sender import Sender


class WebhookService:
    """Use `open`. `registrations` is what callers reach, `delivery` is to be started and stopped."""

    def __init__(self, registrations: Webhooks, dispatcher: Dispatcher) -> None:
        self.registrations = registrations
        self.delivery = BackgroundTask("webhooks", dispatcher.run, ask_to_end=dispatcher.stop)

    @classmethod
    async def open(
        cls,
        database: Database,
        settings: WebhookSettings,
        clock: Clock,
        stack: AsyncExitStack,
        registry: CollectorRegistry,
        *,
        base_url: str,
        proxy: Proxy | None = None,
        seal: SecretSeal | None = None,
    ) -> "WebhookService":
        """Make all of it; nothing is delivered before `delivery` is started.

        `seal` None: secrets are kept as they are.
        """
        sender = Sender(
            allow_private=settings.allow_private_networks,
            timeout_s=settings.timeout_s,
            connections_max=settings.deliveries_in_flight_max + TRIALS_MAX,
            proxy=proxy,
        )
        await stack.enter_async_context(sender)
        registrations = Webhooks(
            WebhookTable(database),
            DeliveryTable(database),
            sender,
            clock,
            allow_private=settings.allow_private_networks,
            seal=seal,
        )
        await registrations.seal_all()
        dispatcher = Dispatcher(
            database,
            sender,
            clock,
            WebhookMetrics(registry),
            timeout_s=settings.timeout_s,
            in_flight_max=settings.deliveries_in_flight_max,
            base_url=base_url,
            seal=seal,
        )
        return cls(registrations, dispatcher)
