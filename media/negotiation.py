"""From a WHIP offer to our answer (RFC 9725, RFC 9429): what is accepted, and why the rest is not. Pure."""

import re
from dataclasses import dataclass

from media import sdp
from media.encoded import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from recorder.errors import BystanderError, caller_error
from recorder.limits import STREAMS_PER_PUBLISHER_MAX

MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC_EXTENSION = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

# Not among them: video-orientation (a sender that may not signal rotation rotates the picture itself).
_EXTENSIONS = (MID_EXTENSION, RID_EXTENSION, REPAIRED_RID_EXTENSION, TRANSPORT_CC_EXTENSION)
_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
_H264_PROFILES = (0x42, 0x4D, 0x58, 0x64)  # baseline, main, extended, high: 8 bit, 4:2:0
_FINGERPRINT_ALGORITHMS = ("sha-256", "sha-384", "sha-512")

_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP")  # RFC 9429 5.1.2

_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}\Z")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_HEX_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2}:)+[0-9A-Fa-f]{2}\Z")


@dataclass(frozen=True, slots=True)
class IceParameters:
    """One side's ICE credentials (RFC 8839 5.4)."""

    username_fragment: str
    password: str
    lite: bool = False

    def names_same_session(self, other: "IceParameters | None") -> bool:
        """Whether both are of one ICE session: a restart changes both credentials (RFC 8445 9)."""
        return other is not None and self.username_fragment == other.username_fragment


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a DTLS certificate (RFC 8122)."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """How one section of the offer is answered: `media` is None where it is rejected."""

    offered: sdp.Section
    mid: str | None
    media: MediaFormat | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A readable, acceptable offer. `candidates` are the values of `a=candidate` lines."""

    sections: tuple[AnswerSection, ...]
    bundled: bool
    ice: IceParameters
    fingerprints: tuple[Fingerprint, ...]
    peer_is_dtls_client: bool
    candidates: tuple[str, ...]

    @property
    def media(self) -> tuple[MediaFormat, ...]:
        """The accepted sections."""
        return tuple(section.media for section in self.sections if section.media is not None)


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our side of the transport, as the answer tells it."""

    ice: IceParameters
    fingerprints: tuple[Fingerprint, ...]
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle fragment (RFC 8840): credentials are None where it names none."""

    ice: IceParameters | None
    candidates: tuple[str, ...]
    end_of_candidates: bool


def read_offer(text: str) -> Offer:
    """Judge an offer.

    Raises BystanderError: malformed_sdp (400), sdp_too_large (413), unsupported_codecs, no_media_sent or
    unsupported_transport (all 422).
    """
    description = sdp.parse(text)
    bundle = _bundle(description)
    refusals: list[str] = []
    sections: list[AnswerSection] = []
    first: AnswerSection | None = None
    for section in description.sections:
        mid = _mid(section)
        media, refusal = _judge(
            section, mid, own_transport=first is not None and not {mid, first.mid} <= bundle
        )
        if sum(s.media is not None for s in sections) == STREAMS_PER_PUBLISHER_MAX:
            media = None
        sections.append(AnswerSection(section, mid, media))
        if media is not None and first is None:
            first = sections[-1]
        if refusal is not None:
            refusals.append(refusal)
    if first is None:
        raise _unusable(refusals)
    attributes = first.offered.attributes
    return Offer(
        sections=tuple(sections),
        bundled=first.mid in bundle,
        ice=_ice(attributes, description.attributes),
        fingerprints=_fingerprints(attributes, description.attributes),
        peer_is_dtls_client=_setup(attributes, description.attributes) == "active",
        candidates=tuple(attributes.all("candidate")),
    )


def write_answer(offer: Offer, local: LocalTransport, *, session_id: int) -> str:
    """Our answer: what was accepted is received only, what was not is rejected with port 0."""
    lines = ["v=0", f"o=- {session_id} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    accepted = [section.mid for section in offer.sections if section.media is not None]
    if offer.bundled:
        lines.append("a=group:BUNDLE " + " ".join(mid for mid in accepted if mid is not None))
    lines.append("a=msid-semantic: WMS")
    transport_written = False
    for section in offer.sections:
        if section.media is None:
            lines += _rejection(section)
            continue
        lines += _acceptance(section, section.media)
        lines += _transport(offer, local, candidates=not transport_written)
        transport_written = True
    return "\r\n".join(lines) + "\r\n"


def read_fragment(text: str) -> Fragment:
    """Read a trickle-ice-sdpfrag; raises malformed_sdp (400).

    Section names and mids are not looked at: everything is bundled on one transport.
    """
    attributes = sdp.Attributes()
    for line in sdp.split_lines(text):
        if line.startswith("a="):
            attributes.add(line[2:])
        elif line.startswith("m="):
            sdp.parse_section(line)
    named = "ice-ufrag" in attributes or "ice-pwd" in attributes
    return Fragment(
        ice=_ice(attributes, sdp.Attributes()) if named else None,
        candidates=tuple(attributes.all("candidate")),
        end_of_candidates="end-of-candidates" in attributes,
    )


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


# --- judging an offer --------------------------------------------------------------------------------
def _unusable(refusals: list[str]) -> BystanderError:
    details = {
        "unsupported_codecs": "No media section offers a codec that is recorded: Opus, VP8 or H.264.",
        "no_media_sent": "No media section of the offer sends audio or video.",
        "unsupported_transport": "Media must be offered with ICE, DTLS-SRTP and RTP/RTCP multiplexing.",
    }
    for code, detail in details.items():
        if code in refusals:
            return caller_error(code, detail, status=422)
    return caller_error("no_media_sent", details["no_media_sent"], status=422)


def _judge(
    section: sdp.Section, mid: str | None, *, own_transport: bool
) -> tuple[MediaFormat | None, str | None]:
    """The accepted format, or why there is none (nothing to say of sections that carry no media)."""
    attributes = section.attributes
    if section.kind not in ("audio", "video"):
        return None, None
    if section.port == 0 and "bundle-only" not in attributes:
        return None, None
    if "recvonly" in attributes or "inactive" in attributes:
        return None, "no_media_sent"
    if own_transport or "rtcp-mux" not in attributes or section.protocol not in _PROTOCOLS:
        return None, "unsupported_transport"
    payloads = _payloads(section)
    if not payloads:
        return None, "unsupported_codecs"
    return _media_format(section, mid, payloads), None


def _media_format(section: sdp.Section, mid: str | None, payloads: dict[int, PayloadFormat]) -> MediaFormat:
    groups = [value.split() for value in section.attributes.all("ssrc-group")]
    repairs = {
        _number(group[2], 32): _number(group[1], 32)
        for group in groups
        if len(group) == 3 and group[0] == "FID"
    }
    named = dict.fromkeys(_number(v.split(" ")[0], 32) for v in section.attributes.all("ssrc"))
    extensions = _extensions(section)
    return MediaFormat(
        mid=mid or "",
        video=section.kind == "video",
        payloads=payloads,
        ssrcs=tuple(ssrc for ssrc in named if ssrc not in repairs),
        retransmission_ssrcs=repairs,
        rids=_rids(section),
        mid_extension=extensions.get(MID_EXTENSION, 0),
        rid_extension=extensions.get(RID_EXTENSION, 0),
        repaired_rid_extension=extensions.get(REPAIRED_RID_EXTENSION, 0),
        transport_cc_extension=extensions.get(TRANSPORT_CC_EXTENSION, 0),
    )


def _payloads(section: sdp.Section) -> dict[int, PayloadFormat]:
    parameters = _parameters(section)
    codecs: dict[int, Codec] = {}
    repairs: dict[int, int] = {}  # media payload type -> RTX payload type
    for value in section.attributes.all("rtpmap"):
        head, _, encoding = value.partition(" ")
        number = _number(head, 7)
        if head not in section.formats:
            continue
        codec = _codec(section.kind, encoding.strip().lower(), parameters.get(number, {}))
        if codec is not None:
            codecs[number] = codec
        elif encoding.strip().lower() == "rtx/90000" and "apt" in parameters.get(number, {}):
            repairs.setdefault(_number(parameters[number]["apt"], 7), number)
    payloads = {}
    for number in (int(text) for text in section.formats if text.isdecimal()):
        if number in codecs:
            feedback = _feedback(section, number)
            payloads[number] = PayloadFormat(
                number,
                codecs[number],
                nack="nack" in feedback,
                pli="nack pli" in feedback,
                fir="ccm fir" in feedback,
                retransmission=repairs.get(number),
            )
    return payloads


def _codec(kind: str, encoding: str, parameters: dict[str, str]) -> Codec | None:
    if kind == "audio":
        return Codec.OPUS if encoding == "opus/48000/2" else None
    if encoding == "vp8/90000":
        return Codec.VP8
    if encoding != "h264/90000":
        return None
    profile = parameters.get("profile-level-id", "42000a")
    mode = parameters.get("packetization-mode", "0")
    if not re.fullmatch(r"[0-9A-Fa-f]{6}", profile) or mode not in ("0", "1"):
        return None
    return Codec.H264 if int(profile[:2], 16) in _H264_PROFILES else None


def _parameters(section: sdp.Section) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for value in section.attributes.all("fmtp"):
        head, _, rest = value.partition(" ")
        pairs = (item.partition("=") for item in rest.split(";"))
        found[_number(head, 7)] = {name.strip().lower(): text.strip() for name, _, text in pairs}
    return found


def _feedback(section: sdp.Section, payload_type: int) -> list[str]:
    offered = []
    for value in section.attributes.all("rtcp-fb"):
        head, _, feedback = value.partition(" ")
        if head in ("*", str(payload_type)):
            offered.append(feedback.strip())
    return [feedback for feedback in _FEEDBACK if feedback in offered]


def _extensions(section: sdp.Section) -> dict[str, int]:
    found = {}
    for value in section.attributes.all("extmap"):
        words = value.split()
        if len(words) < 2:
            raise sdp.malformed("An extmap attribute has no URI.")
        if words[1] in _EXTENSIONS:
            identifier = _number(words[0].partition("/")[0], 8)
            if identifier not in (0, 15):
                found[words[1]] = identifier
    return found


def _rids(section: sdp.Section) -> tuple[str, ...]:
    """The layers of a simulcast offer; none where it offers a single one."""
    if not any(word == "send" for value in section.attributes.all("simulcast") for word in value.split()):
        return ()
    words = [value.split() for value in section.attributes.all("rid")]
    return tuple(w[0] for w in words if len(w) > 1 and w[1] == "send" and _TOKEN.match(w[0]))


def _bundle(description: sdp.Description) -> set[str | None]:
    for value in description.attributes.all("group"):
        words = value.split()
        if words and words[0] == "BUNDLE":
            return set(words[1:])
    return set()


def _mid(section: sdp.Section) -> str | None:
    mid = section.attributes.first("mid")
    if mid is not None and not _TOKEN.match(mid):
        raise sdp.malformed("A mid attribute is not a token.")
    return mid


def _ice(media: sdp.Attributes, session: sdp.Attributes) -> IceParameters:
    fragment = media.first("ice-ufrag") or session.first("ice-ufrag")
    password = media.first("ice-pwd") or session.first("ice-pwd")
    if fragment is None or password is None or not (_UFRAG.match(fragment) and _PASSWORD.match(password)):
        raise sdp.malformed("The ICE credentials are missing or malformed.")
    return IceParameters(fragment, password, "ice-lite" in session)


def _fingerprints(media: sdp.Attributes, session: sdp.Attributes) -> tuple[Fingerprint, ...]:
    found = []
    for value in media.all("fingerprint") or session.all("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() in _FINGERPRINT_ALGORITHMS and _HEX_PAIRS.match(digest.strip()):
            found.append(Fingerprint(algorithm.lower(), digest.strip().upper()))
    if not found:
        raise sdp.malformed("The DTLS fingerprint is missing or not of SHA-256, SHA-384 or SHA-512.")
    return tuple(found)


def _setup(media: sdp.Attributes, session: sdp.Attributes) -> str:
    setup = media.first("setup") or session.first("setup")
    if setup not in ("actpass", "active", "passive"):
        raise sdp.malformed("The DTLS setup attribute must be actpass, active or passive.")
    return setup


def _number(text: str, bits: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 1 << bits):
        raise sdp.malformed("A number in the SDP is malformed or out of range.")
    return int(text)


# --- writing an answer -------------------------------------------------------------------------------
def _rejection(section: AnswerSection) -> list[str]:
    offered = section.offered
    lines = [f"m={offered.kind} 0 {offered.protocol} {' '.join(offered.formats)}", "c=IN IP4 0.0.0.0"]
    lines.append("a=inactive")
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return lines


def _acceptance(section: AnswerSection, media: MediaFormat) -> list[str]:
    offered = section.offered
    numbers = list(media.payloads)
    numbers += dict.fromkeys(
        p.retransmission for p in media.payloads.values() if p.retransmission is not None
    )
    lines = [
        f"m={offered.kind} 9 {offered.protocol} {' '.join(map(str, numbers))}",
        "c=IN IP4 0.0.0.0",
        "a=recvonly",
        "a=rtcp-mux",
    ]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    if "rtcp-rsize" in offered.attributes:
        lines.append("a=rtcp-rsize")
    lines += [f"a=extmap:{number} {uri}" for uri, number in _extensions(offered).items()]
    if "extmap-allow-mixed" in offered.attributes:
        lines.append("a=extmap-allow-mixed")
    parameters = _parameters(offered)
    for payload in media.payloads.values():
        lines += _payload_lines(offered, payload, parameters.get(payload.payload_type, {}))
    if media.rids:
        lines += [f"a=rid:{rid} recv" for rid in media.rids]
        lines.append(f"a=simulcast:recv {';'.join(media.rids)}")
    return lines


def _payload_lines(offered: sdp.Section, payload: PayloadFormat, parameters: dict[str, str]) -> list[str]:
    number = payload.payload_type
    names = {Codec.OPUS: "opus/48000/2", Codec.VP8: "VP8/90000", Codec.H264: "H264/90000"}
    lines = [f"a=rtpmap:{number} {names[payload.codec]}"]
    lines += [f"a=rtcp-fb:{number} {feedback}" for feedback in _feedback(offered, number)]
    if payload.codec is Codec.OPUS:
        lines.append(f"a=fmtp:{number} minptime=10;useinbandfec=1")
    elif payload.codec is Codec.H264:
        # Said back as offered: some senders match the whole set, and our decoder takes every level.
        kept = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
        told = ";".join(f"{name}={parameters[name]}" for name in kept if name in parameters)
        lines += [f"a=fmtp:{number} {told}"] if told else []
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
