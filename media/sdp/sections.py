"""Media sections of an offer: what each can be recorded as, in codecs, feedback, extensions, layers. Pure."""

import re

from media.handover.encoded_frame import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from media.sdp import parse as sdp

MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC_EXTENSION = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

# Not among them: video-orientation (a sender that may not signal rotation rotates the picture itself).
_EXTENSIONS = (MID_EXTENSION, RID_EXTENSION, REPAIRED_RID_EXTENSION, TRANSPORT_CC_EXTENSION)
_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
_H264_PROFILES = (0x42, 0x4D, 0x58, 0x64)  # baseline, main, extended, high: 8 bit, 4:2:0

_COSTLY = (Codec.VP9, Codec.AV1)
LAYERS_MAX = 8  # of a simulcast offer: senders have three

_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}\Z")


def read_mid(section: sdp.Section) -> str | None:
    """The section's name; raises malformed_sdp (400)."""
    mid = section.attributes.first("mid")
    if mid is not None and not _TOKEN.match(mid):
        raise sdp.malformed("A mid attribute is not a token.")
    return mid


def read_format(section: sdp.Section, mid: str | None) -> MediaFormat | None:
    """The section's format; None where it offers no codec that is recorded. Raises malformed_sdp (400)."""
    payloads = _payloads(section)
    if not payloads:
        return None
    groups = [value.split() for value in section.attributes.all("ssrc-group")]
    repairs = {
        _number(group[2], 32): _number(group[1], 32)
        for group in groups
        if len(group) == 3 and group[0] == "FID"
    }
    named = dict.fromkeys(_number(v.split(" ")[0], 32) for v in section.attributes.all("ssrc"))
    extensions = extensions_of(section)
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


def parameters_of(section: sdp.Section) -> dict[int, dict[str, str]]:
    """The `fmtp` of each payload type, names in lower case."""
    found: dict[int, dict[str, str]] = {}
    for value in section.attributes.all("fmtp"):
        head, _, rest = value.partition(" ")
        pairs = (item.partition("=") for item in rest.split(";"))
        found[_number(head, 7)] = {name.strip().lower(): text.strip() for name, _, text in pairs}
    return found


class Feedback:
    """RTCP feedback (RFC 4585 4.2) that a section offers and we give, by payload type."""

    def __init__(self, section: sdp.Section) -> None:
        self._offered: dict[str, set[str]] = {}
        for value in section.attributes.all("rtcp-fb"):
            head, _, feedback = value.partition(" ")
            self._offered.setdefault(head, set()).add(feedback.strip())

    def of(self, payload_type: int) -> list[str]:
        """What is offered for a payload type, by its number or by the wildcard."""
        offered = self._offered.get("*", set()) | self._offered.get(str(payload_type), set())
        return [feedback for feedback in _FEEDBACK if feedback in offered]


def extensions_of(section: sdp.Section) -> dict[str, int]:
    """The ids of the header extensions that are offered, and read."""
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


def _payloads(section: sdp.Section) -> dict[int, PayloadFormat]:
    parameters = parameters_of(section)
    codecs: dict[int, Codec] = {}
    redundant: set[int] = set()
    repairs: dict[int, int] = {}  # media payload type -> RTX payload type
    for value in section.attributes.all("rtpmap"):
        head, _, encoding = value.partition(" ")
        number = _number(head, 7)
        if head not in section.formats:
            continue
        codec = _codec(section.kind, encoding.strip().lower(), parameters.get(number, {}))
        if codec is not None:
            codecs[number] = codec
        elif section.kind == "audio" and encoding.strip().lower() == "red/48000/2":
            redundant.add(number)
        elif encoding.strip().lower() == "rtx/90000" and "apt" in parameters.get(number, {}):
            repairs.setdefault(_number(parameters[number]["apt"], 7), number)
    payloads = {}
    feedback = Feedback(section)
    for number in redundant & parameters.keys():
        repeated = _repeated(parameters[number], codecs)
        if repeated is not None:  # before what it repeats: a sender takes what stands first
            payloads[number] = PayloadFormat(
                number, codecs[repeated], nack="nack" in feedback.of(number), repeats=repeated
            )
    offered_types = (int(text) for text in section.formats if text.isdecimal() and len(text) <= 3)
    # Senders take the first. Those that cost little to decode come before those that cost less to send.
    for number in sorted(offered_types, key=lambda number: codecs.get(number) in _COSTLY):
        if number in codecs:
            offered = feedback.of(number)
            payloads[number] = PayloadFormat(
                number,
                codecs[number],
                nack="nack" in offered,
                pli="nack pli" in offered,
                fir="ccm fir" in offered,
                retransmission=repairs.get(number),
            )
    return payloads


def _repeated(parameters: dict[str, str], codecs: dict[int, Codec]) -> int | None:
    """The one payload type that packets of RED are made of (RFC 2198 5); None where it is not recorded."""
    (named,) = list(parameters)[:1] or [""]
    types = {int(word) for word in named.split("/") if word.isdecimal() and len(word) <= 3}
    return types.pop() if len(types) == 1 and types <= codecs.keys() else None


def _codec(kind: str, encoding: str, parameters: dict[str, str]) -> Codec | None:
    if kind == "audio":
        return Codec.OPUS if encoding == "opus/48000/2" else None
    if encoding == "vp8/90000":
        return Codec.VP8
    if encoding == "vp9/90000":
        return Codec.VP9 if parameters.get("profile-id", "0") == "0" else None
    if encoding == "av1/90000":
        return Codec.AV1 if parameters.get("profile", "0") == "0" else None
    if encoding != "h264/90000":
        return None
    profile = parameters.get("profile-level-id", "42000a")
    mode = parameters.get("packetization-mode", "0")
    if not re.fullmatch(r"[0-9A-Fa-f]{6}", profile) or mode not in ("0", "1"):
        return None
    return Codec.H264 if int(profile[:2], 16) in _H264_PROFILES else None


def _rids(section: sdp.Section) -> tuple[str, ...]:
    """The layers of a simulcast offer; none where it offers a single one."""
    if not any(word == "send" for value in section.attributes.all("simulcast") for word in value.split()):
        return ()
    words = [value.split() for value in section.attributes.all("rid")]
    rids = dict.fromkeys(w[0] for w in words if len(w) > 1 and w[1] == "send" and _TOKEN.match(w[0]))
    return tuple(rids)[:LAYERS_MAX]


def _number(text: str, bits: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 1 << bits):
        raise sdp.malformed("A number in the SDP is malformed or out of range.")
    return int(text)
