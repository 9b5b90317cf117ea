"""OpenTelemetry traces, sent by OTLP over HTTP: an extra of the package, imported where it is configured."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

from recorder.kernel.errors import caller_error
from recorder.kernel.log.span import Attribute, trace_by

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

EXPORT_TIMEOUT_S = 10.0
QUEUE_SPANS_MAX = 4_096  # some 4 MB; what a collector that is away does not take is dropped
FLUSH_S_MAX = 5.0  # at the end of a server, for a collector that does not answer


async def open_tracing(
    url: str | None, authorization: str | None, sampled: float, stack: AsyncExitStack, **resource: str
) -> None:
    """Trace this task and all that it starts, to the collector at `url`; `stack` sends what is left.

    Nothing without a `url`. Raises invalid_settings where the extra is not installed.
    """
    if url is None:
        return
    try:
        provider = await asyncio.to_thread(_provider, url, authorization, sampled, resource)
    except ImportError as error:
        detail = f"tracing.otlp_url: {error.name} is missing: pip install 'bystander[tracing]'"
        raise caller_error("invalid_settings", detail) from None
    stack.push_async_callback(asyncio.to_thread, _close, provider)
    trace_by(_OpenTelemetry(provider.get_tracer("bystander")))


def _provider(
    url: str, authorization: str | None, sampled: float, resource: Mapping[str, str]
) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    headers = {"Authorization": authorization} if authorization else {}
    exporter = OTLPSpanExporter(
        endpoint=url.rstrip("/") + "/v1/traces", headers=headers, timeout=EXPORT_TIMEOUT_S
    )
    named = {"service.name": "bystander", **{name.replace("_", "."): text for name, text in resource.items()}}
    provider = TracerProvider(
        resource=Resource.create(named),
        sampler=ParentBasedTraceIdRatio(sampled),
        shutdown_on_exit=False,  # the server does, before the interpreter is half gone
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS_MAX))
    return provider


def _close(provider: "TracerProvider") -> None:
    provider.force_flush(round(FLUSH_S_MAX * 1e3))
    provider.shutdown()


class _OpenTelemetry:
    """Fulfils recorder.kernel.log.span.Tracer."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Attribute], parent: str | None) -> Iterator[None]:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = None
        if parent is not None:
            context = TraceContextTextMapPropagator().extract({"traceparent": parent})
        with self._tracer.start_as_current_span(name, context=context, attributes=dict(attributes)):
            yield
