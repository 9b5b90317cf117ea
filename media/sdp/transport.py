"""Transport parameters in SDP: ICE credentials, certificate fingerprints, DTLS roles. Pure."""

import re
from dataclasses import dataclass

from media.sdp import parse as sdp

_FINGERPRINT_ALGORITHMS = ("sha-256", "sha-384", "sha-512")
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
class LocalTransport:
    """Our side of the transport, as the answer tells it."""

    ice: IceParameters
    fingerprints: tuple[Fingerprint, ...]
    candidates: tuple[str, ...]


def read_ice(media: sdp.Attributes, session: sdp.Attributes) -> IceParameters:
    """The credentials of a section, else of the session; raises malformed_sdp (400)."""
    fragment = media.first("ice-ufrag") or session.first("ice-ufrag")
    password = media.first("ice-pwd") or session.first("ice-pwd")
    if fragment is None or password is None or not (_UFRAG.match(fragment) and _PASSWORD.match(password)):
        raise sdp.malformed("The ICE credentials are missing or malformed.")
    return IceParameters(fragment, password, "ice-lite" in session)


def read_fingerprints(media: sdp.Attributes, session: sdp.Attributes) -> tuple[Fingerprint, ...]:
    """All that we can check; raises malformed_sdp (400) when there is none."""
    found = []
    for value in media.all("fingerprint") or session.all("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() in _FINGERPRINT_ALGORITHMS and _HEX_PAIRS.match(digest.strip()):
            found.append(Fingerprint(algorithm.lower(), digest.strip().upper()))
    if not found:
        raise sdp.malformed("The DTLS fingerprint is missing or not of SHA-256, SHA-384 or SHA-512.")
    return tuple(found)


def read_setup(media: sdp.Attributes, session: sdp.Attributes) -> str:
    """The DTLS role (RFC 8842 5.1): actpass, active or passive; raises malformed_sdp (400)."""
    setup = media.first("setup") or session.first("setup")
    if setup not in ("actpass", "active", "passive"):
        raise sdp.malformed("The DTLS setup attribute must be actpass, active or passive.")
    return setup
