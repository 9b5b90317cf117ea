"""The sockets of one stream of plain RTP: whose packets are taken, and where reports go back to."""

import asyncio
from collections.abc import Callable
from typing import Any

from media.webrtc.gathering import DATAGRAM_BYTES_MAX
from media.webrtc.network.udp import BatchedUdpSocket, open_socket
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault

Address = tuple[Any, ...]
Take = Callable[[bytes, int], None]


class StreamPorts:
    """RTP on one port, RTCP on the next one or on the same. `take` gets datagrams and their arrival.

    Raises media_port_taken (503) where the ports are not free.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        muxed: bool,
        senders: frozenset[str],
        take: Take,
        drop: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._senders = senders
        self._take = take
        self._drop = drop
        self._clock = clock
        self._muxed = muxed
        self._reports_to: Address | None = None  # where RTCP came from, else beside where RTP did
        self._heard_rtcp = False
        self._rtp = self._opened(address, port, self._rtp_came)
        try:
            self._rtcp = self._rtp if muxed else self._opened(address, port + 1, self._rtcp_came)
        except BystanderError:
            self._rtp.close()
            raise

    def send_rtcp(self, data: bytes) -> None:
        """To the sender, once it was heard."""
        if self._reports_to is not None:
            self._rtcp.sendto(data, self._reports_to)

    def read(self) -> None:
        """Hand over now what came."""
        for one in {self._rtp, self._rtcp}:
            one.read()

    def close(self) -> None:
        """Stop at once."""
        for one in {self._rtp, self._rtcp}:
            one.close()

    def _opened(self, address: str, port: int, receive: Callable[..., None]) -> BatchedUdpSocket:
        try:
            udp = open_socket(address, port)
        except OSError:
            detail = "A port for RTP is taken, or its address is not this machine's."
            raise BystanderError("media_port_taken", detail, fault=Fault.RESOURCE, status=503) from None
        return BatchedUdpSocket(
            udp,
            receive=receive,
            owner=asyncio.DatagramProtocol(),
            monotonic_ns=self._clock.monotonic_ns,
            datagram_bytes_max=DATAGRAM_BYTES_MAX,
        )

    def _rtp_came(self, data: bytes, address: Address, arrival_ns: int | None) -> None:
        if self._is_expected(address):
            if not self._heard_rtcp:
                self._reports_to = address if self._muxed else (address[0], address[1] + 1, *address[2:])
            self._take(data, self._clock.monotonic_ns() if arrival_ns is None else arrival_ns)

    def _rtcp_came(self, data: bytes, address: Address, arrival_ns: int | None) -> None:
        if self._is_expected(address):
            self._heard_rtcp, self._reports_to = True, address
            self._take(data, self._clock.monotonic_ns() if arrival_ns is None else arrival_ns)

    def _is_expected(self, address: Address) -> bool:
        if address[0] in self._senders:
            return True
        self._drop("unexpected_sender")
        return False
