"""SRTP (RFC 3711): datagrams unprotected by libsrtp in one buffer: no queue, no task, no object for each."""

import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from pylibsrtp import ERRORS
from pylibsrtp import Error as SrtpError
from pylibsrtp._binding import ffi, lib

from media.rtp.wire.packet import PacketBuffer
from media.webrtc.gathering import DATAGRAM_BYTES_MAX
from recorder.kernel.clock import Clock

SOURCES_MAX = 128  # SSRCs that libsrtp keeps state for; a section has two, six with simulcast
RETIRED_SOURCES_MAX = 65_536  # SSRCs whose state was given up: a new one every second of a day in a call
_RTP_BYTES_MIN = 12
_TRAILER_BYTES = 4 + 16 + 128  # what libsrtp may append: SRTCP index, tag, MKI

_SSRC = struct.Struct("!I")


class MediaEvents(Protocol):
    """Who gets the packets. Buffers are only valid during the call; nothing here may raise."""

    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None: ...
    def rtcp_received(self, data: bytes, arrival_ns: int) -> None: ...


class KeyHolder(Protocol):
    """What has the keys; media.webrtc.dtls.DtlsSession is one."""

    def srtp_contexts(self) -> tuple[Any, Any]:
        """libsrtp's receiving and sending context; their owners live as long as this object."""
        ...


class SrtpReceiver:
    """Unprotects datagrams in one buffer of its own, and protects RTCP in another."""

    def __init__(self, session: KeyHolder, events: MediaEvents, clock: Clock, drop: Callable[[str], None]):
        self._session = session  # owns the contexts
        self._receive_context, self._send_context = session.srtp_contexts()
        self._events = events
        self._drop = drop
        self._cdata = ffi.new("char[]", DATAGRAM_BYTES_MAX)
        self._buffer = ffi.buffer(self._cdata)
        self._length = ffi.new("int *")
        self._outgoing = ffi.new("char[]", DATAGRAM_BYTES_MAX + _TRAILER_BYTES)
        self._sources: dict[int, int] = {}  # authentic SSRCs, and when each was heard last
        # Without their state libsrtp would take a replay of what they sent for new: they stay shut out.
        self._retired: set[int] = set()
        self.last_arrival_ns = clock.monotonic_ns()

    def heard(self, at_ns: int) -> None:
        """The peer gave a sign of life other than media."""
        self.last_arrival_ns = at_ns

    def datagram(self, data: bytes, arrival_ns: int) -> None:
        """One SRTP or SRTCP datagram, whatever its content."""
        size = len(data)
        if not _RTP_BYTES_MIN <= size <= DATAGRAM_BYTES_MAX:
            self._drop("datagram_size")
            return
        control = 192 <= data[1] <= 223  # RFC 5761 4
        (ssrc,) = _SSRC.unpack_from(data, 4 if control else 8)
        known = ssrc in self._sources
        if not known and (ssrc in self._retired or len(self._retired) >= RETIRED_SOURCES_MAX):
            self._drop("too_many_sources")
            return
        length = self._length
        length[0] = size
        self._buffer[0:size] = data
        unprotect = lib.srtp_unprotect_rtcp if control else lib.srtp_unprotect
        status = unprotect(self._receive_context, self._cdata, length)
        if status:
            self._drop("srtp_replay" if ERRORS[status].startswith("replay") else "srtp_unauthentic")
            return
        self._sources[ssrc] = arrival_ns
        if not known and len(self._sources) > SOURCES_MAX:
            self._retire_the_most_silent()
        self.last_arrival_ns = arrival_ns
        if control:
            self._events.rtcp_received(self._buffer[0 : length[0]], arrival_ns)
        else:
            self._events.rtp_received(self._buffer, length[0], arrival_ns)

    def _retire_the_most_silent(self) -> None:
        ssrc = min(self._sources, key=self._sources.__getitem__)
        del self._sources[ssrc]
        self._retired.add(ssrc)
        if status := lib.srtp_remove_stream(self._receive_context, socket.htonl(ssrc)):
            raise SrtpError(ERRORS[status])

    def protect_rtcp(self, data: bytes) -> bytes:
        """The SRTCP datagram of one compound packet."""
        if len(data) > DATAGRAM_BYTES_MAX:
            raise ValueError("an RTCP packet longer than a datagram")
        length = ffi.new("int *", len(data))
        ffi.memmove(self._outgoing, data, len(data))
        status = lib.srtp_protect_rtcp(self._send_context, self._outgoing, length)
        if status:
            raise SrtpError(ERRORS[status])
        return bytes(ffi.buffer(self._outgoing, length[0]))
