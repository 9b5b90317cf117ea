"""WHIP offers judged (RFC 9725, RFC 9429): what of one is accepted, and why the rest is not. Pure."""

from dataclasses import dataclass

from media.rtp.formats import MediaFormat
from media.sdp import parse as sdp
from media.sdp.sections import read_format, read_mid
from media.sdp.transport import (
    Fingerprint,
    IceParameters,
    read_fingerprints,
    read_ice,
    read_setup,
)
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.limits import STREAMS_PER_PUBLISHER_MAX

_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP")  # RFC 9429 5.1.2


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """How one section of the offer is answered: `media` is None where nothing is received by it.

    `idle` is the format of one that is inactive: it stays, and may be used again.
    """

    offered: sdp.Section
    mid: str | None
    media: MediaFormat | None
    idle: MediaFormat | None = None


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
class TrickleFragment:
    """A trickle fragment (RFC 8840): credentials are None where it names none."""

    ice: IceParameters | None
    candidates: tuple[str, ...]
    end_of_candidates: bool


def read_offer(text: str) -> Offer:
    """Judge an offer.

    Raises BystanderError: malformed_sdp (400), sdp_too_large (413), unsupported_codecs, no_media_sent,
    bundle_required, unsupported_transport or too_many_streams (all 422): where anything that is sent cannot
    be recorded.
    """
    description = sdp.parse(text)
    bundle = _bundle(description)
    refusals: list[str] = []
    sections: list[AnswerSection] = []
    first: AnswerSection | None = None
    accepted = 0
    for section in description.sections:
        mid = read_mid(section)
        media, refusal = _judge(
            section, mid, own_transport=first is not None and not {mid, first.mid} <= bundle
        )
        if media is not None and accepted == STREAMS_PER_PUBLISHER_MAX:
            media, refusal = None, "too_many_streams"
        accepted += media is not None
        idle = _idle(section, mid) if mid in bundle else None
        sections.append(AnswerSection(section, mid, media, idle))
        if media is not None and first is None:
            first = sections[-1]
        if refusal is not None:
            refusals.append(refusal)
    if first is None or not set(refusals) <= {"no_media_sent"}:
        raise _unusable(refusals)  # in whole (RFC 9725 4.4.3): half of what somebody sends is no recording
    attributes = first.offered.attributes
    return Offer(
        sections=tuple(sections),
        bundled=first.mid in bundle,
        ice=read_ice(attributes, description.attributes),
        fingerprints=read_fingerprints(attributes, description.attributes),
        peer_is_dtls_client=read_setup(attributes, description.attributes) == "active",
        candidates=tuple(attributes.all("candidate")),
    )


def read_fragment(text: str) -> TrickleFragment:
    """Read a trickle-ice-sdpfrag; raises malformed_sdp (400).

    Section names and mids are not looked at: everything is bundled on one transport.
    """
    attributes = sdp.Attributes()
    for line in sdp.split_lines(text):
        if line.startswith("a="):
            attributes.add(line[2:])
        elif line.startswith("m="):
            sdp.parse_section(line)
        else:
            # A whole description where a fragment belongs would be taken for one that says nothing.
            raise sdp.malformed("A trickle fragment has lines other than a= and m=.")
    named = "ice-ufrag" in attributes or "ice-pwd" in attributes
    return TrickleFragment(
        ice=read_ice(attributes, sdp.Attributes()) if named else None,
        candidates=tuple(attributes.all("candidate")),
        end_of_candidates="end-of-candidates" in attributes,
    )


# --- judging an offer --------------------------------------------------------------------------------
def _unusable(refusals: list[str]) -> BystanderError:
    details = {
        "unsupported_codecs": "A media section offers no codec that is recorded: Opus, VP8, VP9, H.264, AV1.",
        "bundle_required": "Each section has a transport of its own: offer all in one BUNDLE group. Browsers"
        " do, GStreamer's webrtcbin with bundle-policy=max-bundle.",
        "unsupported_transport": "Media must be offered with ICE, DTLS-SRTP and rtcp-mux.",
        "too_many_streams": f"An offer may send {STREAMS_PER_PUBLISHER_MAX} streams.",
        "no_media_sent": "No media section of the offer sends audio or video.",
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
    if "rtcp-mux" not in attributes or section.protocol not in _PROTOCOLS:
        return None, "unsupported_transport"
    if own_transport:
        return None, "bundle_required"
    media = read_format(section, mid)
    return media, "unsupported_codecs" if media is None else None


def _idle(section: sdp.Section, mid: str | None) -> MediaFormat | None:
    """The format of a section that is in the bundle and sends nothing now."""
    attributes = section.attributes
    usable = section.kind in ("audio", "video") and section.port != 0 and "rtcp-mux" in attributes
    return read_format(section, mid) if usable and "inactive" in attributes else None


def _bundle(description: sdp.Description) -> set[str | None]:
    for value in description.attributes.all("group"):
        words = value.split()
        if words and words[0] == "BUNDLE":
            return set(words[1:])
    return set()
