"""The Protocol of a media engine as a worker uses it: media.engine.Engine, or what stands in for it.

Written down on this side of the wall, so that a worker can be tested without codecs.
"""

from collections.abc import Callable
from typing import Protocol

from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.media import Fragment, IceServer, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan, Statistics

Write = Callable[[Fragment], None]
OnEvent = Callable[[MediaEvent], None]


class SummaryLike(Protocol):
    """What a drained engine has rendered."""

    @property
    def duration_us(self) -> int: ...


class EndingLike(Protocol):
    """Why an engine ended by itself."""

    @property
    def reason(self) -> EndReason: ...
    @property
    def failure(self) -> str | None: ...


class EngineLike(Protocol):
    """One recording's engine."""

    async def start(self) -> None: ...
    async def publish(self, session: str, publisher: Publisher, offer: str) -> tuple[str, str]: ...
    async def receive_rtp(
        self, session: str, publisher: Publisher, source: RtpSource, address: str
    ) -> None: ...
    async def renegotiate(self, session: str, offer: str) -> tuple[str, str]: ...
    async def trickle(self, session: str, fragment: str, etag: str | None) -> tuple[str, str] | None: ...
    def use_ice_servers(self, servers: list[IceServer]) -> None: ...
    async def session_state(self, session: str, other_than: str) -> tuple[str, str | None]: ...
    async def unpublish(self, session: str) -> None: ...
    async def stop(self) -> SummaryLike: ...
    async def wait_ended(self) -> EndingLike: ...
    def statistics(self) -> Statistics: ...
    def clock_s(self) -> float: ...
    def zero_ns(self) -> int | None: ...


class EngineFactory(Protocol):
    """How an engine is made."""

    def __call__(
        self, plan: RecordingPlan, *, write: Write, on_event: OnEvent, clock: Clock
    ) -> EngineLike: ...
