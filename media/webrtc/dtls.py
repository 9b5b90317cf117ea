"""DTLS (RFC 8827 6.5) over whatever ICE connection there is: aiortc's records and keys, nothing else of it.

tests/media/test_transport.py says what is leaned on, and fails when a new version moves it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import (
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    SRTPProtectionProfile,
    State,
)
from OpenSSL import SSL

from media.sdp.transport import Fingerprint
from media.webrtc.ice import IceConnection

logger = logging.getLogger(__name__)

DTLS_DATAGRAMS_MAX = 64  # a handshake is about ten, retransmitted
RETRANSMISSION_S = 0.05  # of a flight that was not answered, and doubled: RFC 9147 5.8.2 lets WebRTC be quick
RETRANSMISSION_S_MAX = 1.6  # from here on OpenSSL's own timer, which begins at a second, is enough
_RECORD_HEADER_BYTES = 13  # RFC 6347 4.1: type, version, epoch, sequence number, length
_ALERT = 21
# The certificate of the server decides between ECDSA and RSA: ours is ECDSA, that of a peer may be either.
# Nothing but AEAD: every WebRTC stack has it (RFC 8827 6.5).
_CIPHERS = b":".join(
    f"ECDHE-{signature}-{cipher}".encode()
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES256-GCM-SHA384")
    for signature in ("ECDSA", "RSA")
)


class Certificate(RTCCertificate):
    """An ECDSA certificate on P-256, made for one session."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context


def has_plaintext_alert(datagram: bytes) -> bool:
    """Whether one of the datagram's records is an alert that nobody vouches for (epoch zero)."""
    position = 0
    while position + _RECORD_HEADER_BYTES <= len(datagram):
        if datagram[position] == _ALERT and datagram[position + 3 : position + 5] == b"\0\0":
            return True
        position += _RECORD_HEADER_BYTES + (datagram[position + 11] << 8 | datagram[position + 12])
    return False


class IceLink:
    """What RTCDtlsTransport takes for its RTCIceTransport: it stays when the ICE connection is exchanged.

    While the handshake lasts, a flight that is not answered is sent again: the peer may not have been ready.
    """

    role = "controlled"

    def __init__(self, drop: Callable[[str], None]) -> None:
        self.connection: IceConnection | None = None
        self._drop = drop
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(DTLS_DATAGRAMS_MAX)
        self._flight: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._shaking_hands = False

    def use(self, connection: IceConnection | None) -> None:
        """Send on this connection from now on; on none where there is none."""
        self.connection = connection

    def dtls_received(self, data: bytes) -> None:
        """Queue one datagram for the handshake; over the bound it is dropped, DTLS sends it again."""
        if self._datagrams.full():
            self._drop("dtls_overflow")
        elif not (data and 20 <= data[0] <= 63):
            self._drop("not_media")
        elif has_plaintext_alert(data):
            # Anybody can write one, and it would end the handshake. A real one costs the time to give up.
            self._drop("dtls_plaintext_alert")
            logger.info("a plaintext DTLS alert was ignored")
        else:
            self._answered()
            self._datagrams.put_nowait(data)

    def begin_handshake(self) -> None:
        """From now on, unanswered flights are sent again."""
        self._shaking_hands = True

    def end_handshake(self) -> None:
        """No flight is sent again from now on."""
        self._shaking_hands = False
        self._answered()

    async def _recv(self) -> bytes:
        data = await self._datagrams.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if self.connection is not None:
            self.connection.send_now(data)
        if self._shaking_hands:
            self._flight.append(data)
            if self._timer is None:
                self._arm(RETRANSMISSION_S)

    def _answered(self) -> None:
        self._flight = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._send_again, delay_s)

    def _send_again(self, delay_s: float) -> None:
        self._timer = None
        if self.connection is not None:
            for datagram in self._flight:
                self.connection.send_now(datagram)
        if 2 * delay_s <= RETRANSMISSION_S_MAX:
            self._arm(2 * delay_s)


class DtlsSession(RTCDtlsTransport):
    """The handshake and its keys; what aiortc would do with media never happens here.

    `failure` is a stable word for why the handshake failed.
    """

    def __init__(self, link: IceLink, *, server: bool) -> None:
        super().__init__(link, [Certificate.generateCertificate()])  # type: ignore[arg-type]
        self.failure: str | None = None
        self._link = link
        self._set_role("server" if server else "client")

    def take_role(self, *, server: bool) -> None:
        """The role that the other side's answer leaves us; before the handshake."""
        self._set_role("server" if server else "client")

    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Ours, by SHA-256."""
        offered = self.getLocalParameters().fingerprints
        return tuple(Fingerprint(f.algorithm, f.value) for f in offered if f.algorithm == "sha-256")

    def srtp_contexts(self) -> tuple[Any, Any]:
        """libsrtp's receiving and sending context; their owners live as long as this object."""
        return self._rx_srtp._srtp[0], self._tx_srtp._srtp[0]

    async def handshake(self, fingerprints: tuple[Fingerprint, ...]) -> bool:
        """Run it; whether it succeeded."""
        remote = [RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value) for f in fingerprints]
        self._link.begin_handshake()
        try:
            await self.start(RTCDtlsParameters(fingerprints=remote))
        finally:
            self._link.end_handshake()
        return self.state == "connected"

    async def stop(self) -> None:
        """Say close_notify and wait for the pump to end."""
        pump = self._task
        await super().stop()
        if pump is not None:
            await asyncio.wait([pump])
            if not pump.cancelled() and (error := pump.exception()) is not None:
                logger.error("the DTLS pump failed", exc_info=error)

    # --- the steps of aiortc's `start`, each with its reason ------------------------------------------
    async def _do_handshake(self) -> None:
        assert self._ssl is not None  # made by `start`
        while not self.encrypted:
            try:
                self._ssl.do_handshake()
            except SSL.WantReadError:
                await self._write_ssl()
                await self._recv_next()
            except SSL.Error as error:
                logger.info("the DTLS handshake failed: %s", _reasons(error))
                self._fail("dtls_failed")
                return
            else:
                self.encrypted = True

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 - aiortc's
        super()._validate_peer_identity(remoteParameters)
        if self.state == "failed":
            self.failure = "dtls_fingerprint_mismatch"

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        if self.state == "failed":
            self.failure = "dtls_without_srtp"

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._set_state(State.FAILED)


def _reasons(error: SSL.Error) -> str:
    """OpenSSL's words for what it did not like: (library, function, reason) each."""
    entries = error.args[0] if error.args else ()
    return ", ".join(str(entry[-1]) for entry in entries) if isinstance(entries, list) else str(error)
