"""The context that every handler of one application shares."""

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from recorder.kernel.clock import Clock
from signaling.http.idempotency import Idempotency
from signaling.http.rate_limits import Gate
from signaling.http.signed_links import LinkSigner
from signaling.http.streams import EVENT_STREAMS_MAX, Admission
from signaling.network.clients import Clients
from signaling.ports import Ports


@dataclass(frozen=True, slots=True)
class Context:
    """The ports, and what signaling itself needs to answer.

    `closing` is set when the application shuts down: event streams, which would never end, end then.
    """

    ports: Ports
    clock: Clock
    links: LinkSigner
    registry: CollectorRegistry
    public_url: str | None  # without a trailing slash; None: as the request came
    version: str
    gate: Gate
    clients: Clients
    idempotency: Idempotency
    streams: Admission = field(default_factory=lambda: Admission(EVENT_STREAMS_MAX))
    closing: asyncio.Event = field(default_factory=asyncio.Event)
