"""The receiver of one SSRC: packets counted, put in order, asked for again, and made into frames."""

from collections.abc import Callable

from media.handover.encoded_frame import Codec, EncodedFrame, SenderReport
from media.rtp.depacketizers.assembler import Assembler, assembler_for, starts_frame
from media.rtp.jitter_buffer import PACKETS_MAX, JitterBuffer
from media.rtp.nack import NackSchedule
from media.rtp.reception_report import Reception
from media.rtp.wire.packet import RtpPacket
from media.rtp.wire.rtcp import ReportBlock, SenderInfo
from media.rtp.wire.sequence import Unwrapper

# RFC 3550 A.1: a jump this far is a sender that restarted, once the packet after it follows on.
SEQUENCE_JUMP_MAX = 3000
# Where nothing is sent again, only overtaken packets are worth waiting for.
OVERTAKEN_WAIT_NS_MAX = 250_000_000


class SsrcCounters:
    """What one participant's sources have counted."""

    __slots__ = ("bytes", "dropped", "frames", "lost", "packets", "recovered")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.lost = 0
        self.recovered = 0
        self.frames = 0
        self.dropped: dict[str, int] = {}

    def add_packet(self, length: int) -> None:
        """One packet of so many bytes was received."""
        self.packets += 1
        self.bytes += length

    def add_frame(self) -> None:
        """One frame was handed on."""
        self.frames += 1

    def drop(self, reason: str) -> None:
        """One packet or frame was not used."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class SsrcReceiver:
    """Receives one synchronization source. `emit` gets its frames in order.

    `wants_retransmission`: whether the sender said that it answers generic NACKs.
    """

    def __init__(
        self,
        first: RtpPacket,
        *,
        codec: Codec,
        wait_ns: int,
        wants_retransmission: bool,
        counters: SsrcCounters,
        emit: Callable[["SsrcReceiver", EncodedFrame], None],
    ) -> None:
        self.ssrc = first.ssrc
        self.codec = codec
        self.last_arrival_ns = first.arrival_ns
        self.bytes = 0
        self._counters = counters
        self._emit = emit
        self._wait_ns = wait_ns if wants_retransmission else min(wait_ns, OVERTAKEN_WAIT_NS_MAX)
        self.last_report: SenderReport | None = None
        self._timestamps = Unwrapper(32, first.timestamp)
        self._codecs = {first.payload_type: codec}  # by payload type: those of one section at most
        self._assembler: Assembler = assembler_for(codec, self._frame, counters.drop)
        self._nack = NackSchedule() if wants_retransmission else None
        self._restart(first.sequence, settle=not starts_frame(codec, first.payload))
        self._reception = Reception(first.ssrc, codec.clock_rate, self._sequences.newest)

    @property
    def blocked_since_ns(self) -> int | None:
        """See StreamControl."""
        return self._reorder.blocked_since_ns

    def receive(self, packet: RtpPacket, codec: Codec) -> None:
        """A packet of this SSRC as the sender first sent it, or sent again without RTX."""
        sequence = self._sequences.peek(packet.sequence)
        newest = self._sequences.newest
        if not -SEQUENCE_JUMP_MAX < sequence - newest < SEQUENCE_JUMP_MAX:
            if not self._jumped(packet):
                return
            sequence = newest = self._sequences.newest
        self._after_jump = -1
        self.last_arrival_ns = packet.arrival_ns
        self.bytes += len(packet.payload)
        self._reception.packet(sequence, packet.timestamp, packet.arrival_ns)
        nack = self._nack
        if sequence > newest:
            self._sequences.advance(sequence)
            if nack is not None and sequence > newest + 1:
                nack.gap(newest + 1, sequence, packet.arrival_ns)
        elif nack is not None and nack.arrived(sequence):
            self._counters.recovered += 1
        self._codecs[packet.payload_type] = codec
        if not self._reorder.insert(sequence, packet):
            self._counters.drop("late_or_duplicate")

    def receive_retransmission(self, packet: RtpPacket, codec: Codec) -> None:
        """A packet recovered from RTX; it is no part of the source's own statistics."""
        sequence = self._sequences.peek(packet.sequence)
        if sequence > self._sequences.newest:
            self._counters.drop("retransmission_unneeded")  # the packet itself is still on its way
            return
        if self._nack is not None and self._nack.arrived(sequence):
            self._counters.recovered += 1
        self._codecs[packet.payload_type] = codec
        if not self._reorder.insert(sequence, packet):
            self._counters.drop("retransmission_unneeded")  # senders probe for bandwidth with these

    def receive_repeated(self, packet: RtpPacket, codec: Codec) -> None:
        """A packet that a later one brought along: nothing where the packet itself came."""
        sequence = self._sequences.peek(packet.sequence)
        self._codecs[packet.payload_type] = codec
        if sequence < self._sequences.newest and self._reorder.insert(sequence, packet):
            self._counters.recovered += 1
            if self._nack is not None:
                self._nack.arrived(sequence)

    def sender_report(self, info: SenderInfo, arrival_ns: int) -> SenderReport:
        """Note the report for our own, and give it on the timeline of the frames."""
        self._reception.sender_report(info, arrival_ns)
        ntp = info.ntp_timestamp
        ntp_ns = (ntp >> 32) * 1_000_000_000 + ((ntp & 0xFFFFFFFF) * 1_000_000_000 >> 32)
        report = SenderReport(self._timestamps.peek(info.rtp_timestamp), ntp_ns, arrival_ns)
        self.last_report = report
        return report

    def report(self, now_ns: int) -> ReportBlock:
        """The reception report block for now."""
        return self._reception.report(now_ns)

    def missing(self, now_ns: int, round_trip_ns: int) -> list[int]:
        """Give up what was waited for too long, then say what to ask for again."""
        if self._nack is not None:
            self._reorder.follow(round_trip_ns)
        self._reorder.expire(now_ns)
        if self._nack is None or not self._nack:
            return []
        self._nack.forget_before(self._reorder.expected)
        return self._nack.due(now_ns, round_trip_ns)

    def flush(self) -> None:
        """Nothing more comes: release what is held."""
        self._reorder.flush()

    def _restart(self, sequence: int, *, settle: bool = False) -> None:
        self._sequences = Unwrapper(16, sequence)
        self._reorder = JitterBuffer(self._sequences.newest, self._wait_ns, self._release, settle=settle)
        self._after_jump = -1

    def _jumped(self, packet: RtpPacket) -> bool:
        """A packet far away: drop it, unless the one before it was its direct predecessor."""
        if packet.sequence != self._after_jump:
            self._after_jump = (packet.sequence + 1) & 0xFFFF
            self._counters.drop("sequence_jump")
            return False
        self._reorder.flush()
        if self._nack is not None:
            self._nack = NackSchedule()
        self._restart(packet.sequence)
        self._reception = Reception(packet.ssrc, self.codec.clock_rate, self._sequences.newest)
        self._codec_changed(self.codec)
        return True

    def _codec_changed(self, codec: Codec) -> None:
        self.codec = codec
        self._assembler = assembler_for(codec, self._frame, self._counters.drop)

    def _release(self, packet: RtpPacket, lost: int) -> None:
        if lost:
            self._counters.lost += lost
        codec = self._codecs[packet.payload_type]
        if codec is not self.codec:
            self._codec_changed(codec)
        self._assembler.push(packet, self._timestamps.unwrap(packet.timestamp), lost)

    def _frame(self, frame: EncodedFrame) -> None:
        self._emit(self, frame)


assert SEQUENCE_JUMP_MAX > PACKETS_MAX  # what the reorder buffer can bridge is no restart
