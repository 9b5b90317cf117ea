"""The protocol between server and worker: length-prefixed MessagePack over a Unix socket.

The worker listens; the server connects, and a restarted server connects again. Every request carries a
`request` number that its one reply repeats. Events come unasked, in order, and are not answered.
"""

import struct
from collections.abc import Iterator

import msgspec

from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import WORKER_MESSAGE_BYTES_MAX
from recorder.kernel.media import IceServer, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, Statistics

STOP_TIMEOUT_S = 20.0  # to answer a Stop: the engine's ENGINE_STOP_TIMEOUT_S and the end of the spool


# --- requests: server to worker ----------------------------------------------------------------------
class Publish(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A WHIP POST: a new session with its offer."""

    request: int
    session: str
    publisher: Publisher
    offer: str
    ice_servers: list[IceServer] = []  # with credentials from now on; none: those that are known


class ReceiveRtp(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A new session of somebody who sends plain RTP to this address, and with whom nothing is negotiated."""

    request: int
    session: str
    publisher: Publisher
    source: RtpSource
    address: str


class MakeOffer(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A new session of somebody who answers an offer of ours."""

    request: int
    session: str
    publisher: Publisher
    ice_servers: list[IceServer] = []  # as in Publish


class TakeAnswer(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The answer to it."""

    request: int
    session: str
    answer: str


class Renegotiate(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One more offer of a session, on the same transport: streams come and go, or ICE is restarted."""

    request: int
    session: str
    offer: str
    ice_servers: list[IceServer] = []  # as in Publish


class Trickle(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A WHIP PATCH: candidates, or new ICE credentials, as an SDP fragment (RFC 8840)."""

    request: int
    session: str
    fragment: str
    etag: str | None  # what If-Match said; None or "*" asks for an ICE restart
    ice_servers: list[IceServer] = []  # as in Publish


class Unpublish(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A WHIP DELETE: the session ends."""

    request: int
    session: str


class AwaitSessionState(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """How a session's connection is, once its state is another one; answered after a while all the same."""

    request: int
    session: str
    other_than: str


class Stop(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Drain what was received, write the last fragment, end. Answered when all of it is in the spool."""

    request: int
    reason: EndReason = EndReason.NORMAL


class Pause(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int


class Resume(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int


class GetStatistics(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int


class RecordEvent(msgspec.Struct, frozen=True, tag="Note", kw_only=True):  # as workers of 0.1 know it
    """Something that is no media belongs among the recording's events; the worker says when on its clock.

    `id`: a note that is sent again is written once. `ago_s`: how long ago it happened.
    """

    request: int
    id: str
    event: MediaEvent
    ago_s: float = 0.0


OfSession = (
    Publish | ReceiveRtp | MakeOffer | TakeAnswer | Renegotiate | Trickle | AwaitSessionState | Unpublish
)
Request = OfSession | Stop | Pause | Resume | GetStatistics | RecordEvent


# --- replies: worker to server -----------------------------------------------------------------------
class Published(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int
    answer: str
    etag: str


class Offered(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int
    offer: str


class Trickled(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """`fragment` and a new `etag` answer an ICE restart; both None when candidates were merely taken."""

    request: int
    fragment: str | None = None
    etag: str | None = None


class SessionState(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """`state` is new, connected, disconnected, failed or closed."""

    request: int
    state: str
    reason: str | None


class Done(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int


class Stopped(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Everything is in the spool; the worker exits after this."""

    request: int
    reason: EndReason
    duration_s: float
    bytes: int


class StatisticsReply(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    request: int
    statistics: Statistics


class Refused(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A BystanderError, carried across."""

    request: int
    code: str
    detail: str
    fault: Fault
    status: int

    def to_error(self) -> BystanderError:
        """The error as it was raised in the worker."""
        return BystanderError(self.code, self.detail, fault=self.fault, status=self.status)


# --- events: worker to server, unasked ---------------------------------------------------------------
class Hello(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """First on every connection: who this is and how far it is."""

    recording: str
    pid: int
    statistics: Statistics
    zero_ns: int | None = None  # local time of the recording's zero, once it is fixed


class Happened(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    event: MediaEvent
    zero_ns: int | None = None  # as in Hello


class SpoolGrew(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """`bytes` of media and `fragments` index records are in the spool, readable now."""

    fragments: int
    bytes: int
    duration_s: float


class Ended(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The recording ended by itself (no media, disk full, defect); what was written is in the spool."""

    reason: EndReason
    failure: str | None
    duration_s: float
    bytes: int


Reply = Published | Offered | Trickled | SessionState | Done | Stopped | StatisticsReply | Refused
Event = Hello | Happened | SpoolGrew | Ended
Message = Reply | Event

_LENGTH = struct.Struct("!I")


class Framing:
    """Sans-IO: bytes in, whole messages out. A length over the limit raises and poisons the stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what the socket gave; yield the body of every message that is now complete."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > WORKER_MESSAGE_BYTES_MAX:
                raise BystanderError(
                    "worker_message_too_long",
                    "A worker message exceeds the limit.",
                    fault=Fault.SERVER,
                    status=500,
                )
            if len(self._buffer) < _LENGTH.size + length:
                return
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
            del self._buffer[: _LENGTH.size + length]
            yield body


_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def frame(message: Request | Message) -> bytes:
    """Encode one message with its length before it."""
    body = _encoder.encode(message)
    if len(body) > WORKER_MESSAGE_BYTES_MAX:
        raise BystanderError(
            "worker_message_too_long",
            "A worker message exceeds the limit.",
            fault=Fault.SERVER,
            status=500,
        )
    return _LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """Decode what a server said; msgspec.ValidationError on anything else."""
    return _request_decoder.decode(body)


def decode_message(body: bytes) -> Message:
    """Decode what a worker said; msgspec.ValidationError on anything else."""
    return _message_decoder.decode(body)
