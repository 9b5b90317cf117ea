"""Connector sources: other systems that calls are held on, and what the recorder must know to join there."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recorder.kernel.conversation import Role
from recorder.kernel.limits import TEXT_CHARS_MAX
from recorder.kernel.media import SourceKind

URL_CHARS_MAX = 2048
PEOPLE_MAX = 64  # twice as many as a recording has seats for
SHARE_PATTERNS_MAX = 8

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


ConnectorSource = JanusSource
