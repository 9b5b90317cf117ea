"""Connector status: whether media comes from another system, and what of each sender."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Role
from recorder.kernel.media import SourceKind


class ConnectorState(StrEnum):
    """Whether media comes from there."""

    WAITING = "WAITING"  # nothing of the conversation takes media
    CONNECTING = "CONNECTING"  # also after a connection was lost: it is tried again
    CONNECTED = "CONNECTED"
    FAILED = "FAILED"  # refused for good


class StreamState(StrEnum):
    """How far one sender's connection is."""

    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    REFUSED = "REFUSED"  # for the reason that stands beside; asked for again


class ConnectorStream(msgspec.Struct, frozen=True, kw_only=True):
    """What comes, or does not come, of one sender."""

    id: str  # as the other system names it
    participant: str
    name: str
    role: Role
    source: SourceKind
    state: StreamState = StreamState.CONNECTING
    reason: str | None = None


class ConnectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a connector is doing; it never repeats what it was given as a secret."""

    kind: str
    state: ConnectorState
    since: datetime
    reason: str | None = None  # a stable code, where it is not connected, of what is in the way
    attempts: int = 0  # to connect, since it was connected last
    streams: list[ConnectorStream] = []
    sdp: str | None = None  # of plain RTP: where the recorder receives, for whoever sends
