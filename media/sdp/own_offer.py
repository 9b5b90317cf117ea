"""Offers of ours, to systems that answer (RFC 9429): media is received only; and their answers. Pure."""

from dataclasses import dataclass

from media.rtp.formats import MediaFormat
from media.sdp import parse as sdp
from media.sdp.sections import MID_EXTENSION, TRANSPORT_CC_EXTENSION, read_format, read_mid
from media.sdp.transport import (
    Fingerprint,
    IceParameters,
    LocalTransport,
    read_fingerprints,
    read_ice,
    read_setup,
)
from recorder.kernel.errors import caller_error
from recorder.kernel.limits import STREAMS_PER_PUBLISHER_MAX

_AUDIO = ((111, "opus/48000/2", "minptime=10;useinbandfec=1"),)
_VIDEO = (  # in the order of what they cost to decode; the number after each is that of its retransmission
    (96, "VP8/90000", ""),
    (102, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    (98, "VP9/90000", "profile-id=0"),
    (45, "AV1/90000", ""),
)
_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side sends, and by which transport. `candidates` are values of `a=candidate` lines."""

    media: tuple[MediaFormat, ...]
    ice: IceParameters
    fingerprints: tuple[Fingerprint, ...]
    peer_is_dtls_client: bool
    candidates: tuple[str, ...]


def write_offer(local: LocalTransport, *, session_id: int) -> str:
    """One stream of sound and one of pictures, bundled."""
    lines = ["v=0", f"o=- {session_id} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
    lines.append("a=msid-semantic: WMS")
    lines += _head("audio", "0", [number for number, _, _ in _AUDIO]) + _transport(local)
    for number, encoding, parameters in _AUDIO:
        lines += [f"a=rtpmap:{number} {encoding}", f"a=fmtp:{number} {parameters}"]
        lines.append(f"a=rtcp-fb:{number} transport-cc")
    numbers = [each for number, _, _ in _VIDEO for each in (number, number + 1)]
    lines += _head("video", "1", numbers) + _transport(local)
    for number, encoding, parameters in _VIDEO:
        lines.append(f"a=rtpmap:{number} {encoding}")
        lines += [f"a=fmtp:{number} {parameters}"] if parameters else []
        lines += [f"a=rtcp-fb:{number} {feedback}" for feedback in _FEEDBACK]
        lines += [f"a=rtpmap:{number + 1} rtx/90000", f"a=fmtp:{number + 1} apt={number}"]
    return "\r\n".join(lines) + "\r\n"


def read_answer(text: str) -> Answer:
    """Read the answer to such an offer.

    Raises BystanderError: malformed_sdp (400), sdp_too_large (413), no_media_sent (422).
    """
    description = sdp.parse(text)
    sending = [section for section in description.sections if _sends(section)][:STREAMS_PER_PUBLISHER_MAX]
    media = tuple(
        found for section in sending if (found := read_format(section, read_mid(section))) is not None
    )
    if not media:
        raise caller_error("no_media_sent", "The answer sends nothing that is recorded.", status=422)
    attributes = sending[0].attributes
    return Answer(
        media=media,
        ice=read_ice(attributes, description.attributes),
        fingerprints=read_fingerprints(attributes, description.attributes),
        peer_is_dtls_client=read_setup(attributes, description.attributes) == "active",
        candidates=tuple(attributes.all("candidate")),
    )


def _sends(section: sdp.Section) -> bool:
    silent = "inactive" in section.attributes or "recvonly" in section.attributes
    return section.kind in ("audio", "video") and section.port != 0 and not silent


def _head(kind: str, mid: str, numbers: list[int]) -> list[str]:
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
        "c=IN IP4 0.0.0.0",
        "a=recvonly",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=extmap:1 {MID_EXTENSION}",
        f"a=extmap:2 {TRANSPORT_CC_EXTENSION}",
    ]


def _transport(local: LocalTransport) -> list[str]:
    lines = [f"a=ice-ufrag:{local.ice.username_fragment}", f"a=ice-pwd:{local.ice.password}"]
    lines.append("a=ice-options:trickle")
    lines += [f"a=fingerprint:{each.algorithm} {each.value}" for each in local.fingerprints]
    lines.append("a=setup:actpass")
    lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    return [*lines, "a=end-of-candidates"]
