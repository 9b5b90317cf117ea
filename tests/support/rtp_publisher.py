"""A publisher whose RTP is in the test's hands: its own clocks, packets and reports over real ICE and DTLS.

Stock senders stamp, number and report as they please. This one sends what it is told, when it is told, and
answers generic NACKs and picture loss indications as a browser would.
"""

import asyncio
import random
import re
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aioice
from aioice import Candidate
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters, candidate_from_aioice

from media.handover.encoded_frame import Codec
from tests.support.ice_session import IceRestarts
from tests.support.rtp import one_byte_extension, rtp_bytes

PAYLOAD_TYPES = {Codec.OPUS: 111, Codec.VP8: 96, Codec.H264: 98}
RETRANSMISSION_TYPES = {Codec.VP8: 97, Codec.H264: 99}
RED_TYPE = 63
RID_EXTENSION, REPAIRED_RID_EXTENSION = 4, 5
HISTORY_PACKETS_MAX = 1024
CONNECT_S_MAX = 20.0


@dataclass
class Outgoing:
    """One synchronization source: a sequence, a timestamp base, and what was sent lately."""

    video: bool
    ssrc: int
    sequence: int
    timestamp_base: int
    repair_ssrc: int
    rid: str | None = None
    repair_sequence: int = 0
    packets: int = 0
    octets: int = 0
    picture_id: int = 0
    keyframe_wanted: bool = False
    asked_for_keyframe_at: list[float] = field(default_factory=list)
    sent: dict[int, tuple[Codec, bytes, int, bool]] = field(default_factory=dict)
    retransmitted: int = 0

    def timestamp(self, at_s: float) -> int:
        """The RTP timestamp of an instant on the sender's clock."""
        return self.timestamp_base + round(at_s * (90_000 if self.video else 48_000))


class _Dtls(RTCDtlsTransport):
    """aiortc's transport, which gives every RTCP datagram away."""

    on_rtcp: Callable[[bytes], None]

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self.on_rtcp(data)


class RtpPublisher:
    """One audio and one video section (or one of them), offered and connected like any publisher's.

    `retransmission`: NACK and RTX are offered and answered, of sound too unless `sound_retransmission` says
    otherwise. `redundancy`: so many packets of sound each brings along (RED). `rids`: video is simulcast.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        audio: bool = True,
        video: bool = True,
        retransmission: bool = True,
        sound_retransmission: bool = True,
        redundancy: int = 0,
        rids: tuple[str, ...] = (),
    ) -> None:
        self._random = random.Random(seed)
        self.epoch_s = self._random.uniform(0, 1e6)  # what its wall clock is off by
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        self._ice._connection.ice_controlling = True
        self._dtls = _Dtls(self._ice, [RTCCertificate.generateCertificate()])
        self._dtls.on_rtcp = self._rtcp
        self._retransmission = retransmission
        self._sound_retransmission = retransmission and sound_retransmission
        self._spoken: deque[tuple[int, bytes]] = deque(
            maxlen=redundancy
        )  # timestamp and payload, the newest last
        self._rids = rids
        self.sound = self.source(video=False) if audio else None
        self.layers = [self.source(video=True, rid=rid) for rid in rids or (None,)] if video else []
        self._sources = [*([self.sound] if self.sound else []), *self.layers]
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarts = IceRestarts()

    async def __aenter__(self) -> "RtpPublisher":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Say close_notify and free everything; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await self._dtls.stop()
        await self._ice.stop()
        await self._restarts.close()

    @property
    def camera(self) -> Outgoing:
        """The video source, the first layer of simulcast."""
        return self.layers[0]

    # --- setting up -----------------------------------------------------------------------------------
    def source(self, *, video: bool, rid: str | None = None) -> Outgoing:
        """A synchronization source with random numbers of its own (RFC 3550 5.1)."""
        chance = self._random
        return Outgoing(
            video,
            ssrc=chance.randrange(1, 2**32),
            sequence=chance.randrange(2**16),
            timestamp_base=chance.randrange(2**32),
            repair_ssrc=chance.randrange(1, 2**32),
            rid=rid,
        )

    def renew(self, old: Outgoing) -> Outgoing:
        """Go on under another SSRC, as a browser does after replacing a sender."""
        fresh = self.source(video=old.video, rid=old.rid)
        self._sources.append(fresh)
        return fresh

    async def offer(self) -> str:
        """Gather, and write the offer."""
        await self._gatherer.gather()
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
        kinds = [*(["audio"] if self.sound else []), *(["video"] if self.layers else [])]
        lines.append("a=group:BUNDLE " + " ".join(kinds))
        for kind in kinds:
            lines += self._section(kind)
        return "\r\n".join(lines) + "\r\n"

    async def answered(self, answer: str) -> None:
        """Connect to what the answer says; returns when media can be sent."""
        for value in re.findall(r"^a=candidate:(.*?)\r?$", answer, re.MULTILINE):
            await self._ice.addRemoteCandidate(candidate_from_aioice(Candidate.from_sdp(value)))
        await self._ice.addRemoteCandidate(None)
        algorithm, _, digest = _attribute(answer, "fingerprint").partition(" ")
        self._dtls._set_role("server" if _attribute(answer, "setup") == "active" else "client")
        async with asyncio.timeout(CONNECT_S_MAX):
            parameters = RTCIceParameters(_attribute(answer, "ice-ufrag"), _attribute(answer, "ice-pwd"))
            await self._ice.start(parameters)
            await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(algorithm, digest)]))
        if self._dtls.state != "connected":
            raise ConnectionError(f"DTLS is {self._dtls.state}")

    async def new_ice_session(self) -> str:
        """Gather anew and return the fragment that asks for an ICE restart."""
        return await self._restarts.ask()

    async def move_to(self, fragment: str) -> None:
        """Connect the new session to what the restart was answered with, and go on through it."""
        session = await self._restarts.answered(fragment)
        self._ice._send = session.send
        self._spawn(self._pump(session))

    async def _pump(self, session: aioice.Connection) -> None:
        """Hand on what comes: the DTLS transport waits for the first session for ever."""
        while True:
            await self._ice._connection._queue.put((await session.recv(), 1))

    def _section(self, kind: str) -> list[str]:
        codecs = [codec for codec in PAYLOAD_TYPES if codec.is_video == (kind == "video")]
        numbers = [PAYLOAD_TYPES[codec] for codec in codecs]
        if kind == "audio" and self._spoken.maxlen:
            numbers.insert(0, RED_TYPE)
        repairs = [RETRANSMISSION_TYPES[codec] for codec in codecs if codec.is_video and self._retransmission]
        ice, local = self._gatherer.getLocalParameters(), self._dtls.getLocalParameters()
        lines = [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers + repairs))}",
            "c=IN IP4 0.0.0.0",
            "a=sendonly",
            f"a=mid:{kind}",
            "a=rtcp-mux",
            f"a=ice-ufrag:{ice.usernameFragment}",
            f"a=ice-pwd:{ice.password}",
            *(f"a=fingerprint:{f.algorithm} {f.value}" for f in local.fingerprints),
            "a=setup:actpass",
        ]
        for codec in codecs:
            lines += self._codec(codec, PAYLOAD_TYPES[codec])
        if RED_TYPE in numbers:
            opus = PAYLOAD_TYPES[Codec.OPUS]
            lines += [f"a=rtpmap:{RED_TYPE} red/48000/2", f"a=fmtp:{RED_TYPE} {opus}/{opus}"]
        if kind == "video" and self._rids:
            lines.append(f"a=extmap:{RID_EXTENSION} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
            lines.append(
                f"a=extmap:{REPAIRED_RID_EXTENSION} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
            )
            lines += [f"a=rid:{rid} send" for rid in self._rids]
            lines.append("a=simulcast:send " + ";".join(self._rids))
        for source in self._sources:
            if source.video == (kind == "video") and not source.rid:
                lines += self._ssrcs(source)
        return lines

    def _codec(self, codec: Codec, number: int) -> list[str]:
        name = {Codec.OPUS: "opus/48000/2", Codec.VP8: "VP8/90000", Codec.H264: "H264/90000"}[codec]
        lines = [f"a=rtpmap:{number} {name}"]
        if codec is Codec.H264:
            lines.append(f"a=fmtp:{number} packetization-mode=1;profile-level-id=42e01f")
        if codec.is_video:
            lines.append(f"a=rtcp-fb:{number} nack pli")
        if self._retransmission if codec.is_video else self._sound_retransmission:
            lines.append(f"a=rtcp-fb:{number} nack")
        if codec.is_video and self._retransmission:
            repair = RETRANSMISSION_TYPES[codec]
            lines += [f"a=rtpmap:{repair} rtx/90000", f"a=fmtp:{repair} apt={number}"]
        return lines

    def _ssrcs(self, source: Outgoing) -> list[str]:
        if not (source.video and self._retransmission):
            return [f"a=ssrc:{source.ssrc} cname:test"]
        return [
            f"a=ssrc-group:FID {source.ssrc} {source.repair_ssrc}",
            f"a=ssrc:{source.ssrc} cname:test",
            f"a=ssrc:{source.repair_ssrc} cname:test",
        ]

    # --- sending --------------------------------------------------------------------------------------
    async def send(self, source: Outgoing, codec: Codec, at_s: float, data: bytes) -> None:
        """Send one frame that was captured at `at_s` on the sender's clock."""
        payloads = _payloads(codec, data, source.picture_id)
        if codec is Codec.OPUS and self._spoken.maxlen:
            payloads = [self._redundant(source.timestamp(at_s), data)]
        source.picture_id = (source.picture_id + 1) % 2**15
        for index, payload in enumerate(payloads):
            marker = codec.is_video and index == len(payloads) - 1
            sequence = source.sequence
            source.sequence = (sequence + 1) % 2**16
            source.packets += 1
            source.octets += len(payload)
            timestamp = source.timestamp(at_s)
            if self._retransmission:
                source.sent[sequence] = (codec, payload, timestamp, marker)
                source.sent.pop((sequence - HISTORY_PACKETS_MAX) % 2**16, None)
            await self._send(source, codec, sequence, timestamp, marker, payload)

    def _redundant(self, timestamp: int, data: bytes) -> bytes:
        """A packet that brings those before it along (RFC 2198)."""
        opus, blocks = PAYLOAD_TYPES[Codec.OPUS], list(self._spoken)
        heads = b"".join(
            struct.pack("!BI", 0x80 | opus, (timestamp - older << 10 | len(block)) << 8)[:4]
            for older, block in blocks
        )
        self._spoken.append((timestamp, data))
        return heads + bytes([opus]) + b"".join(block for _, block in blocks) + data

    async def send_raw(self, data: bytes) -> None:
        """Protect and send any RTP or RTCP bytes."""
        await self._dtls._send_rtp(data)

    async def report(self, source: Outgoing, at_s: float, ntp_s: float, *, late_s: float = 0.0) -> None:
        """Send a sender report (RFC 3550 6.4.1): the frame time `at_s` happened at `ntp_s` since 1900.

        `late_s`: how much later than it is made it leaves.
        """
        ntp = round(ntp_s * 2**32) & (2**64 - 1)
        timestamp = source.timestamp(at_s) % 2**32
        counts = (source.packets % 2**32, source.octets % 2**32)
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, source.ssrc, ntp, timestamp, *counts)
        if late_s:
            self._spawn(self._send_later(report, late_s))
        else:
            await self.send_raw(report)

    async def bye(self, source: Outgoing) -> None:
        """Say that the source sends no more (RFC 3550 6.6)."""
        await self.send_raw(struct.pack("!BBHI", 0x81, 203, 1, source.ssrc))

    async def _send(
        self, source: Outgoing, codec: Codec, sequence: int, timestamp: int, marker: bool, payload: bytes
    ) -> None:
        extension = one_byte_extension({RID_EXTENSION: source.rid.encode()}) if source.rid else None
        await self.send_raw(
            rtp_bytes(
                payload_type=self._payload_type(codec),
                sequence=sequence,
                timestamp=timestamp,
                ssrc=source.ssrc,
                marker=marker,
                payload=payload,
                extension=extension,
            )
        )

    def _payload_type(self, codec: Codec) -> int:
        return RED_TYPE if codec is Codec.OPUS and self._spoken.maxlen else PAYLOAD_TYPES[codec]

    # --- what the receiver asks for -------------------------------------------------------------------
    def _rtcp(self, data: bytes) -> None:
        position = 0
        while position + 12 <= len(data):
            first, kind, words = struct.unpack_from("!BBH", data, position)
            end = position + 4 * (words + 1)
            (ssrc,) = struct.unpack_from("!I", data, position + 8)
            source = next((one for one in self._sources if one.ssrc == ssrc), None)
            if source is not None and (kind, first & 31) == (206, 1):
                source.keyframe_wanted = True
                source.asked_for_keyframe_at.append(asyncio.get_running_loop().time())
            elif source is not None and (kind, first & 31) == (205, 1):
                self._resend(source, data[position + 12 : end])
            position = end

    def _resend(self, source: Outgoing, entries: bytes) -> None:
        for base, mask in struct.iter_unpack("!HH", entries):
            for sequence in [base, *((base + 1 + bit) % 2**16 for bit in range(16) if mask >> bit & 1)]:
                if sequence in source.sent:
                    self._spawn(self._send_again(source, sequence))

    async def _send_later(self, data: bytes, late_s: float) -> None:
        await asyncio.sleep(late_s)
        await self.send_raw(data)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_again(self, source: Outgoing, sequence: int) -> None:
        codec, payload, timestamp, marker = source.sent[sequence]
        source.retransmitted += 1
        if not source.video:
            await self._send(source, codec, sequence, timestamp, marker, payload)
            return
        source.repair_sequence = (source.repair_sequence + 1) % 2**16
        extension = one_byte_extension({REPAIRED_RID_EXTENSION: source.rid.encode()}) if source.rid else None
        await self.send_raw(
            rtp_bytes(
                payload_type=RETRANSMISSION_TYPES[codec],
                sequence=source.repair_sequence,
                timestamp=timestamp,
                ssrc=source.repair_ssrc,
                marker=marker,
                payload=struct.pack("!H", sequence) + payload,
                extension=extension,
            )
        )


def _payloads(codec: Codec, data: bytes, picture_id: int) -> list[bytes]:
    if codec is Codec.OPUS:
        return [data]
    if codec is Codec.VP8:
        return Vp8Encoder._packetize(data, picture_id)
    return H264Encoder._packetize(H264Encoder._split_bitstream(data))


def _attribute(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(.+?)\r?$", sdp, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name} in the SDP")
    return found[1]
