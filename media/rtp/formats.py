"""Payload formats that the answer promised: the media sections and payload types that packets may carry."""

from dataclasses import dataclass, field

from media.handover.encoded_frame import Codec


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """One accepted payload type. `retransmission` is the RTX payload type that goes with it.

    `redundant`: packets carry those before them along (RED, RFC 2198); `repeats` is the payload type inside.
    """

    payload_type: int
    codec: Codec
    nack: bool = False
    pli: bool = False
    fir: bool = False
    retransmission: int | None = None
    repeats: int | None = None

    @property
    def redundant(self) -> bool:
        return self.repeats is not None


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """One accepted media section. `mid` is empty where the offer has none.

    `ssrcs` are the primary ones that the offer names, `retransmission_ssrcs` maps RTX to primary.
    Header extension ids are zero where an extension was not negotiated.
    """

    mid: str
    video: bool
    payloads: dict[int, PayloadFormat]
    ssrcs: tuple[int, ...] = ()
    retransmission_ssrcs: dict[int, int] = field(default_factory=dict)
    rids: tuple[str, ...] = ()
    mid_extension: int = 0
    rid_extension: int = 0
    repaired_rid_extension: int = 0
    transport_cc_extension: int = 0

    def primary_of(self, payload_type: int) -> PayloadFormat | None:
        """The format that this RTX payload type repairs; None when it is no RTX payload type."""
        for payload in self.payloads.values():
            if payload.retransmission == payload_type:
                return payload
        return None
