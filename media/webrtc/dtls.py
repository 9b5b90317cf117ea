"""DTLS (RFC 8827 6.5) over whatever ICE connection there is: aiortc's handshake and keys, nothing else of it.

tests/media/test_transport.py says what is leaned on, and fails when a new version moves it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters

from media.sdp.transport import Fingerprint
from media.webrtc.ice import IceConnection

logger = logging.getLogger(__name__)

DTLS_DATAGRAMS_MAX = 64  # a handshake is about ten, retransmitted


class IceLink:
    """What RTCDtlsTransport takes for its RTCIceTransport: it stays when the ICE connection is exchanged."""

    role = "controlled"

    def __init__(self, drop: Callable[[str], None]) -> None:
        self.connection: IceConnection | None = None
        self._drop = drop
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(DTLS_DATAGRAMS_MAX)

    def dtls_received(self, data: bytes) -> None:
        """Queue one datagram for the handshake; over the bound it is dropped, DTLS sends it again."""
        if self._datagrams.full():
            self._drop("dtls_overflow")
        elif data and 20 <= data[0] <= 63:
            self._datagrams.put_nowait(data)
        else:
            self._drop("not_media")

    async def _recv(self) -> bytes:
        data = await self._datagrams.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if self.connection is not None:
            self.connection.send_now(data)


class DtlsSession(RTCDtlsTransport):
    """The handshake and its keys; what aiortc would do with media never happens here."""

    def __init__(self, link: IceLink, *, server: bool) -> None:
        super().__init__(link, [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
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
        await self.start(RTCDtlsParameters(fingerprints=remote))
        return self.state == "connected"

    async def stop(self) -> None:
        """Say close_notify and wait for the pump to end."""
        pump = self._task
        await super().stop()
        if pump is not None:
            await asyncio.wait([pump])
            if not pump.cancelled() and (error := pump.exception()) is not None:
                logger.error("the DTLS pump failed", exc_info=error)
