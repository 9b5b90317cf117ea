"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

The sender numbers all its packets; we say when each arrived, and it finds its bitrate from that.
Without this (or REMB) a browser stays at its start bitrate.
"""

import struct

from media.rtp.wire.rtcp import TRANSPORT_FEEDBACK, pack
from media.rtp.wire.sequence import Unwrapper

_FORMAT = 15
_HEADER = struct.Struct("!IIHHI")  # ssrc, media ssrc, base sequence, status count, reference time and count
_TICK_NS = 250_000
_REFERENCE_NS = 64_000_000
_SMALL, _LARGE = 1, 2

PACKETS_PER_FEEDBACK_MAX = 400  # at most about 1.3 KiB of feedback, so that it fits one datagram
PENDING_PACKETS_MAX = 4096


class TransportFeedback:
    """Remembers arrivals by transport-wide sequence number and writes them as feedback packets."""

    def __init__(self) -> None:
        self._unwrapper: Unwrapper | None = None
        self._arrivals: dict[int, int] = {}
        self._next = 0  # everything before was reported
        self._count = 0
        self.media_ssrc = 0

    @property
    def pending(self) -> bool:
        """Whether there is anything to report."""
        return bool(self._arrivals)

    def arrived(self, sequence: int, media_ssrc: int, arrival_ns: int) -> None:
        """Packet `sequence` (16 bits) came."""
        if self._unwrapper is None:
            self._unwrapper = Unwrapper(16, sequence)
            self._next = self._unwrapper.newest
        extended = self._unwrapper.unwrap(sequence)
        self.media_ssrc = media_ssrc
        if len(self._arrivals) < PENDING_PACKETS_MAX:
            self._arrivals.setdefault(extended, arrival_ns)

    def feedback(self, ssrc: int) -> list[bytes]:
        """The RTCP packets that report all arrivals since the last call."""
        packets = []
        while self._arrivals:
            # Late ones are reported again from where they stand; gaps from the last report on count as lost.
            first = min(min(self._arrivals), self._next)
            if min(self._arrivals) - first > PACKETS_PER_FEEDBACK_MAX // 2:
                first = min(self._arrivals)
            packets.append(self._packet(ssrc, first))
        return packets

    def _packet(self, ssrc: int, first: int) -> bytes:
        arrivals = self._arrivals
        last = min(max(arrivals), first + PACKETS_PER_FEEDBACK_MAX - 1)
        reference = arrivals[min(arrivals)] // _REFERENCE_NS
        previous = reference * (_REFERENCE_NS // _TICK_NS)
        statuses: list[int] = []
        deltas = bytearray()
        sequence = first
        while sequence <= last:
            at = arrivals.pop(sequence, None)
            if at is None:
                statuses.append(0)
            else:
                tick = at // _TICK_NS
                delta = tick - previous
                if not -32768 <= delta <= 32767:  # a pause: continue in a packet with its own reference time
                    arrivals[sequence] = at
                    break
                previous = tick
                if 0 <= delta <= 255:
                    statuses.append(_SMALL)
                    deltas.append(delta)
                else:
                    statuses.append(_LARGE)
                    deltas += struct.pack("!h", delta)
            sequence += 1
        self._next = max(self._next, first + len(statuses))
        header = _HEADER.pack(
            ssrc,
            self.media_ssrc,
            first & 0xFFFF,
            len(statuses),
            (reference & 0xFFFFFF) << 8 | self._count & 0xFF,
        )
        self._count += 1
        body = header + _status_chunks(statuses) + deltas
        return pack(TRANSPORT_FEEDBACK, _FORMAT, body + bytes(-len(body) % 4))


def _status_chunks(statuses: list[int]) -> bytes:
    """Run-length chunks for runs, two-bit vectors of seven for what is mixed."""
    chunks = bytearray()
    position = 0
    while position < len(statuses):
        status = statuses[position]
        run = 1
        while position + run < len(statuses) and statuses[position + run] == status and run < 0x1FFF:
            run += 1
        if run >= 7:
            chunks += struct.pack("!H", status << 13 | run)
            position += run
            continue
        vector = statuses[position : position + 7]
        word = 0xC000
        for place, symbol in enumerate(vector):
            word |= symbol << (12 - 2 * place)
        chunks += struct.pack("!H", word)
        position += len(vector)
    return bytes(chunks)
