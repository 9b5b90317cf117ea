"""SRTP (RFC 3711): datagrams unprotected by libsrtp in one buffer: no queue, no task, no object for each."""

import socket
import struct
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Protocol

from pylibsrtp import ERRORS, Policy, Session
from pylibsrtp import Error as SrtpError
from pylibsrtp._binding import ffi, lib

from media.rtp.wire.packet import PacketBuffer
from media.webrtc.gathering import DATAGRAM_BYTES_MAX
from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import SrtpKeys, SrtpSuite

SOURCES_MAX = 128  # SSRCs that libsrtp keeps state for; a section has two, six with simulcast
RETIRED_SOURCES_MAX = 65_536  # SSRCs whose state was given up: a new one every second of a day in a call
_RTP_BYTES_MIN = 12
_TRAILER_BYTES = 4 + 16 + 128  # what libsrtp may append: SRTCP index, tag, MKI

_SSRC = struct.Struct("!I")
_PROFILES = {
    SrtpSuite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SrtpSuite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    SrtpSuite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpSuite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


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


class Receiver(Protocol):
    """What reads datagrams: SrtpReceiver, or PlainReceiver where nothing is protected."""

    @property
    def last_arrival_ns(self) -> int: ...
    def datagram(self, data: bytes, arrival_ns: int) -> None: ...
    def protect_rtcp(self, data: bytes) -> bytes: ...


class PlainReceiver:
    """Tells RTP from RTCP (RFC 5761 4), and protects nothing."""

    def __init__(self, events: MediaEvents, clock: Clock, drop: Callable[[str], None]) -> None:
        self._events = events
        self._drop = drop
        self.last_arrival_ns = clock.monotonic_ns()

    def datagram(self, data: bytes, arrival_ns: int) -> None:
        """One RTP or RTCP datagram, whatever its content."""
        if not _RTP_BYTES_MIN <= len(data) <= DATAGRAM_BYTES_MAX:
            self._drop("datagram_size")
            return
        self.last_arrival_ns = arrival_ns
        if 192 <= data[1] <= 223:
            self._events.rtcp_received(data, arrival_ns)
        else:
            self._events.rtp_received(data, len(data), arrival_ns)

    def protect_rtcp(self, data: bytes) -> bytes:
        return data


class _GivenKeys:
    """A KeyHolder of keys that were agreed on elsewhere (RFC 4568)."""

    def __init__(self, keys: SrtpKeys) -> None:
        profile = _PROFILES[keys.suite]
        self._receiving = Session(
            Policy(key=b64decode(keys.key), ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        )
        back = b64decode(keys.key_back or keys.key)
        self._sending = Session(Policy(key=back, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))

    def srtp_contexts(self) -> tuple[Any, Any]:
        return self._receiving._srtp[0], self._sending._srtp[0]


def keyed_receiver(
    keys: SrtpKeys, events: MediaEvents, clock: Clock, drop: Callable[[str], None]
) -> SrtpReceiver:
    """What unprotects by keys that were given."""
    return SrtpReceiver(_GivenKeys(keys), events, clock, drop)
