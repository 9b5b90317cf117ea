"""SDP answers to an offer (RFC 9429) and to an ICE restart (RFC 9725): media is received only. Pure."""

from media.handover.encoded_frame import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from media.sdp.offer import AnswerSection, Offer
from media.sdp.sections import Feedback, extensions_of, parameters_of
from media.sdp.transport import LocalTransport

_ENCODINGS = {
    Codec.OPUS: "opus/48000/2",
    Codec.VP8: "VP8/90000",
    Codec.VP9: "VP9/90000",
    Codec.AV1: "AV1/90000",
    Codec.H264: "H264/90000",
}
_PARAMETERS_SAID_BACK = {  # some senders match the whole set, and our decoders take every level
    Codec.H264: ("level-asymmetry-allowed", "packetization-mode", "profile-level-id"),
    Codec.VP9: ("profile-id",),
    Codec.AV1: ("profile", "level-idx", "tier"),
}


def write_answer(
    offer: Offer, local: LocalTransport, *, session_id: int, version: int = 1, stereo: bool = False
) -> str:
    """Our answer: what was accepted is received only, what was not is rejected with port 0.

    `version` counts the answers of a session (RFC 8866 5.2). With `stereo` a sender that has two channels is
    asked for both (RFC 7587 6.1).
    """
    lines = ["v=0", f"o=- {session_id} {version} IN IP4 0.0.0.0", "s=-", "t=0 0"]
    accepted = [section.mid for section in offer.sections if section.media is not None]
    accepted += [section.mid for section in offer.sections if section.idle is not None]
    if offer.bundled:
        lines.append("a=group:BUNDLE " + " ".join(mid for mid in accepted if mid is not None))
    lines.append("a=msid-semantic: WMS")
    transport_written = False
    for section in offer.sections:
        if section.idle is not None:
            lines += _acceptance(section, section.idle, "inactive", stereo=stereo) + _transport(
                offer, local, candidates=False
            )
            continue
        if section.media is None:
            # With the transport's lines too: webrtcbin discards an answer where a section lacks them.
            lines += _rejection(section) + _transport(offer, local, candidates=False)
            continue
        lines += _acceptance(section, section.media, stereo=stereo)
        lines += _transport(offer, local, candidates=not transport_written)
        transport_written = True
    return "\r\n".join(lines) + "\r\n"


def write_fragment(offer: Offer, local: LocalTransport) -> str:
    """Our credentials and candidates after an ICE restart, as RFC 9725 4.3.3 wants them."""
    lines = [f"a=ice-ufrag:{local.ice.username_fragment}", f"a=ice-pwd:{local.ice.password}"]
    first = next(section for section in offer.sections if section.media is not None)
    formats = " ".join(first.offered.formats)
    lines.append(f"m={first.offered.kind} 9 {first.offered.protocol} {formats}")
    if first.mid is not None:
        lines.append(f"a=mid:{first.mid}")
    lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"


def _rejection(section: AnswerSection) -> list[str]:
    offered = section.offered
    lines = [f"m={offered.kind} 0 {offered.protocol} {' '.join(offered.formats)}", "c=IN IP4 0.0.0.0"]
    lines.append("a=inactive")
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return lines


def _acceptance(
    section: AnswerSection, media: MediaFormat, direction: str = "recvonly", *, stereo: bool
) -> list[str]:
    offered = section.offered
    numbers = list(media.payloads)
    numbers += dict.fromkeys(
        p.retransmission for p in media.payloads.values() if p.retransmission is not None
    )
    lines = [
        f"m={offered.kind} 9 {offered.protocol} {' '.join(map(str, numbers))}",
        "c=IN IP4 0.0.0.0",
        f"a={direction}",
        "a=rtcp-mux",
    ]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    if "rtcp-rsize" in offered.attributes:
        lines.append("a=rtcp-rsize")
    lines += [f"a=extmap:{number} {uri}" for uri, number in extensions_of(offered).items()]
    if "extmap-allow-mixed" in offered.attributes:
        lines.append("a=extmap-allow-mixed")
    parameters = parameters_of(offered)
    feedback = Feedback(offered)
    for payload in media.payloads.values():
        described = parameters.get(payload.payload_type, {})
        lines += _payload_lines(payload, feedback, described, stereo=stereo)
    if media.rids:
        lines += [f"a=rid:{rid} recv" for rid in media.rids]
        lines.append(f"a=simulcast:recv {';'.join(media.rids)}")
    return lines


def _payload_lines(
    payload: PayloadFormat, feedback: Feedback, parameters: dict[str, str], *, stereo: bool
) -> list[str]:
    number = payload.payload_type
    if payload.redundant:
        repeated = f"{payload.repeats}/{payload.repeats}"
        return [f"a=rtpmap:{number} red/48000/2", f"a=fmtp:{number} {repeated}"]
    lines = [f"a=rtpmap:{number} {_ENCODINGS[payload.codec]}"]
    lines += [f"a=rtcp-fb:{number} {given}" for given in feedback.of(number)]
    if payload.codec is Codec.OPUS:
        lines.append(f"a=fmtp:{number} minptime=10;useinbandfec=1{';stereo=1' if stereo else ''}")
    else:
        kept = _PARAMETERS_SAID_BACK.get(payload.codec, ())
        answered = ";".join(f"{name}={parameters[name]}" for name in kept if name in parameters)
        lines += [f"a=fmtp:{number} {answered}"] if answered else []
    if payload.retransmission is not None:
        lines.append(f"a=rtpmap:{payload.retransmission} rtx/90000")
        lines.append(f"a=fmtp:{payload.retransmission} apt={number}")
    return lines


def _transport(offer: Offer, local: LocalTransport, *, candidates: bool) -> list[str]:
    lines = [
        f"a=ice-ufrag:{local.ice.username_fragment}",
        f"a=ice-pwd:{local.ice.password}",
        "a=ice-options:trickle",
    ]
    lines += [f"a=fingerprint:{f.algorithm} {f.value}" for f in local.fingerprints]
    # Active where we may choose: the first flight then leaves as soon as ICE has a pair (RFC 8842 5.3).
    lines.append(f"a=setup:{'passive' if offer.peer_is_dtls_client else 'active'}")
    if candidates:
        lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
        lines.append("a=end-of-candidates")
    return lines
