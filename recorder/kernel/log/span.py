"""Spans: what takes its time for one purpose, told to a tracer where there is one.

A span is the parent of those in the tasks that are started within it, so a part of an upload is found below
the request that asked for its recording.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

Attribute = str | int | float | bool


class Tracer(Protocol):
    """Whoever is told of spans."""

    def span(
        self, name: str, attributes: Mapping[str, Attribute], parent: str | None
    ) -> AbstractContextManager[None]:
        """One span, for as long as the block; `parent` is a traceparent of somebody else's (W3C)."""
        ...


_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


def trace_by(tracer: Tracer) -> None:
    """Tell this tracer of the spans of this task, and of all that it starts from now on."""
    _tracer.set(tracer)


def span(
    name: str, attributes: Mapping[str, Attribute] | None = None, *, parent: str | None = None
) -> AbstractContextManager[None]:
    """A span for the length of a block; an exception that leaves it is told, too. No tracer: nothing."""
    tracer = _tracer.get()
    return nullcontext() if tracer is None else tracer.span(name, attributes or {}, parent)
