"""Connector: one way to come by a call's media, and what it hands over to."""

from typing import Protocol

from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.connectors.status import ConnectorStream
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import PublishedSession, Publisher


class Intake(Protocol):
    """One recording, as a connector sees it. It outlives every session that is published into it."""

    def connected(self) -> None:
        """The other system has let us in; media may follow."""
        ...

    def tell(self, stream: ConnectorStream) -> None:
        """How one sender's connection is now."""
        ...

    def forget(self, stream: str) -> None:
        """The sender is not there any more."""
        ...

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession:
        """Take a sender's offer, as the entry point does; raises BystanderError as that does."""
        ...

    async def offer(self, publisher: Publisher) -> PublishedSession:
        """A session of somebody who answers, with our offer as its SDP; raises as `publish` does."""
        ...

    async def answered(self, session: str, answer: str) -> None:
        """The answer to that offer; raises where it cannot be read or sends nothing that is recorded."""
        ...

    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str:
        """Listen for plain RTP on an address of this machine; the session. Raises as `publish` does."""
        ...

    async def renegotiate(self, session: str, offer: str) -> PublishedSession:
        """One more offer of a session, on the same transport; refused, it leaves the session as it was."""
        ...

    async def state(self, session: str, other_than: str) -> tuple[str, str | None]:
        """How a session's connection is and why, once its state is another one, or after a while.

        States are new, connected, disconnected, failed and closed. Raises BystanderError where it is gone.
        """
        ...

    async def unpublish(self, session: str) -> None:
        """The sender has left; no matter whether the session is still there."""
        ...


class Connector(Protocol):
    """One connection to another system, for one recording.

    `run` connects, hands streams over as they come, takes them back as they go, and raises BystanderError
    with the reason when it could not connect, was refused or lost the connection. It never returns.
    Faults of the CALLER are final; everything else may be tried again. Cancelled, it takes back all.
    """

    async def run(self, intake: Intake) -> None: ...


def connection_lost(detail: str) -> BystanderError:
    """There was a connection, and it is gone."""
    return BystanderError("connection_lost", detail, fault=Fault.PEER, status=502)


def unreachable(detail: str) -> BystanderError:
    """There never was a connection."""
    return BystanderError("unreachable", detail, fault=Fault.PEER, status=502)


def not_understood(detail: str) -> BystanderError:
    """The other system says what its protocol does not know."""
    return BystanderError("protocol_error", detail, fault=Fault.PEER, status=502)


def refused(code: str, detail: str) -> BystanderError:
    """What was asked for will be refused again."""
    return BystanderError(code, detail, fault=Fault.CALLER, status=422)
