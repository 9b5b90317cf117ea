"""Reception reports about one source (RFC 3550 6.4.1, appendices A.3 and A.8)."""

from media.rtp.wire.rtcp import ReportBlock, SenderInfo


class Reception:
    """Counts one SSRC's packets; `sequence` arguments are extended."""

    __slots__ = (
        "_base",
        "_clock_rate",
        "_expected_prior",
        "_highest",
        "_jitter",
        "_last_sr",
        "_last_sr_ns",
        "_received",
        "_received_prior",
        "_ssrc",
        "_transit",
    )

    def __init__(self, ssrc: int, clock_rate: int, sequence: int) -> None:
        self._ssrc = ssrc
        self._clock_rate = clock_rate
        self._base = sequence
        self._highest = sequence
        self._received = 0
        self._expected_prior = 0
        self._received_prior = 0
        self._jitter = 0.0
        self._transit: int | None = None
        self._last_sr = 0
        self._last_sr_ns = 0

    def packet(self, sequence: int, timestamp: int, arrival_ns: int) -> None:
        """One packet of the source itself, not a retransmission on another SSRC."""
        self._received += 1
        if sequence > self._highest:
            self._highest = sequence
        transit = arrival_ns * self._clock_rate // 1_000_000_000 - timestamp
        if self._transit is not None:
            difference = (transit - self._transit) & 0xFFFFFFFF
            if difference >= 0x80000000:
                difference = 0x100000000 - difference
            self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def sender_report(self, info: SenderInfo, arrival_ns: int) -> None:
        """Remember it, so the sender can take the round trip time from our next report."""
        self._last_sr = info.ntp_timestamp >> 16 & 0xFFFFFFFF
        self._last_sr_ns = arrival_ns

    def report(self, now_ns: int) -> ReportBlock:
        """The block for now; the fraction lost is since the last one."""
        expected = self._highest - self._base + 1
        expected_interval = expected - self._expected_prior
        received_interval = self._received - self._received_prior
        self._expected_prior = expected
        self._received_prior = self._received
        lost = expected_interval - received_interval
        fraction = min(255, 256 * lost // expected_interval) if expected_interval > 0 and lost > 0 else 0
        delay = (now_ns - self._last_sr_ns) * 65536 // 1_000_000_000 if self._last_sr else 0
        return ReportBlock(
            ssrc=self._ssrc,
            fraction_lost=fraction,
            packets_lost=expected - self._received,
            highest_sequence=self._highest - 0x10000,  # the unwrapper starts one cycle up
            jitter=int(self._jitter),
            last_sr=self._last_sr,
            delay_since_last_sr=delay,
        )
