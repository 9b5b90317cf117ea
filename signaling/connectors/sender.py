"""The one sender of a plain connector's source, as a publisher and as a stream; pure."""

from recorder.kernel.connectors.source import RtpSource, WhepSource
from recorder.kernel.connectors.status import ConnectorStream
from recorder.kernel.media import Publisher


def publisher_of(source: RtpSource | WhepSource) -> Publisher:
    """Who is recorded."""
    return Publisher(participant=source.participant, name=source.name, role=source.role, source=source.source)


def stream_of(source: RtpSource | WhepSource) -> ConnectorStream:
    """What is told of it, before anything is known."""
    return ConnectorStream(
        id=source.source.value,
        participant=source.participant,
        name=source.name,
        role=source.role,
        source=source.source,
    )
