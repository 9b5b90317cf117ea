"""Connector sources: other systems that calls are held on, and what the recorder must know to join there."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from recorder.kernel.conversation import Role
from recorder.kernel.limits import TEXT_CHARS_MAX
from recorder.kernel.media import SourceKind

URL_CHARS_MAX = 2048
PEOPLE_MAX = 64  # twice as many as a recording has seats for
SHARE_PATTERNS_MAX = 8
SENDERS_MAX = 8

Url = Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX)]
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
FeedId = int | str


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who a feed is. `feed` is its id or its display name, with * and ? as in file names; the first fits."""

    feed: Text
    participant: Text | None = None  # of this conversation, or as the call service names them
    name: Text | None = None
    role: Role = Role.VISITOR
    source: SourceKind | None = None  # None: a camera, or a share by its name


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What has secrets in it never shows them by itself."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class JanusSource(_Source, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="janus"):
    """A VideoRoom of a Janus server, whose API is reached by WebSocket at `url`."""

    url: Url
    room: Annotated[int, Meta(ge=0)] | Text
    pin: Text | None = None  # of the room
    token: Text | None = None  # of the room's list of those who are allowed
    api_token: Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX)] | None = None  # of Janus itself
    api_secret: Text | None = None
    people: Annotated[list[Person], Meta(max_length=PEOPLE_MAX)] = []
    shares: Annotated[tuple[Text, ...], Meta(max_length=SHARE_PATTERNS_MAX)] = ("*screen*",)
    """Feeds and streams whose display name or description fits one of these show a screen."""


class RtpCodec(StrEnum):
    """What plain RTP may carry."""

    OPUS = "opus"
    VP8 = "vp8"
    VP9 = "vp9"
    H264 = "h264"
    AV1 = "av1"


class RtpStream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream. `port` is given out by the recorder; one of its range may be asked for."""

    codec: RtpCodec
    payload_type: Annotated[int, Meta(ge=0, le=127)]
    port: Annotated[int, Meta(ge=0, le=65534)] = 0


class SrtpSuite(StrEnum):
    """RFC 4568 6.2, RFC 7714 14.2."""

    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"

    @property
    def key_bytes(self) -> int:
        """Of master key and salt together."""
        return {SrtpSuite.AEAD_AES_128_GCM: 28, SrtpSuite.AEAD_AES_256_GCM: 44}.get(self, 30)


class SrtpKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys with their salts, as `inline` of RFC 4568 has them: the sender's, and of the reports back."""

    suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80
    key: Annotated[str, Meta(max_length=64)]
    key_back: Annotated[str, Meta(max_length=64)] | None = None  # None: the recorder makes one

    def __repr__(self) -> str:
        return "<SrtpKeys>"


class RtpSource(_Source, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="rtp"):
    """Sound and pictures of one sender, in plain RTP, from these addresses alone."""

    senders: Annotated[list[Text], Meta(min_length=1, max_length=SENDERS_MAX)]
    audio: RtpStream | None = None
    video: RtpStream | None = None
    rtcp_mux: bool = False  # False: RTCP comes to the port after that of RTP
    srtp: SrtpKeys | None = None
    participant: Text = "rtp"
    name: Text = "RTP"
    role: Role = Role.VISITOR
    source: SourceKind = SourceKind.CAMERA

    @property
    def streams(self) -> list[RtpStream]:
        """Those that there are."""
        return [stream for stream in (self.audio, self.video) if stream is not None]


class WhepSource(_Source, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="whep"):
    """One stream that a media server plays by WHEP at `url`."""

    url: Url
    token: Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX)] | None = None
    participant: Text = "whep"
    name: Text = "WHEP"
    role: Role = Role.VISITOR
    source: SourceKind = SourceKind.CAMERA


ConnectorSource = JanusSource | RtpSource | WhepSource
