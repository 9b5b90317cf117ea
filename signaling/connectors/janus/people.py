"""Who the feeds of a room are, and what their streams show, by their names and the caller's rules. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from recorder.kernel.connectors.source import FeedId, JanusSource, Person
from recorder.kernel.limits import TEXT_CHARS_MAX
from recorder.kernel.media import Publisher, SourceKind


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who publishes in a room."""

    id: FeedId
    display: str | None = None
    publisher: bool = False


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of a feed that we are subscribed to. `mid` is ours, `feed_mid` the feed's."""

    type: str
    mid: str | None = None
    feed_mid: str | None = None
    feed_description: str | None = None
    active: bool = True


class People:
    """The rules of one connector."""

    def __init__(self, source: JanusSource) -> None:
        self._people = source.people
        self._shares = [pattern.lower() for pattern in source.shares]

    def publisher(self, feed: Feed, source: SourceKind) -> Publisher:
        """Who publishes this feed's streams of this source."""
        name = (feed.display or str(feed.id))[:TEXT_CHARS_MAX]
        person = self._person(feed)
        if person is None:
            return Publisher(participant=f"janus:{feed.id}"[:TEXT_CHARS_MAX], name=name, source=source)
        return Publisher(
            participant=person.participant or f"janus:{feed.id}"[:TEXT_CHARS_MAX],
            name=person.name or name,
            role=person.role,
            source=source,
        )

    def parts(self, feed: Feed, streams: Sequence[Stream]) -> dict[SourceKind, list[str]]:
        """The feed's mids of sound and pictures, by what they show.

        Where a feed has a camera and a share, its first sound is the camera's.
        """
        found: dict[SourceKind, list[str]] = {}
        for stream in streams:
            if stream.active and stream.type in ("audio", "video") and stream.feed_mid is not None:
                found.setdefault(self._source(feed, stream), []).append(stream.feed_mid)
        return found

    def _source(self, feed: Feed, stream: Stream) -> SourceKind:
        person = self._person(feed)
        if person is not None and person.source is not None:
            return person.source
        shown = (stream.feed_description or "", feed.display or "")
        shares = any(fnmatchcase(text.lower(), pattern) for text in shown for pattern in self._shares)
        return SourceKind.SCREEN_SHARE if shares else SourceKind.CAMERA

    def _person(self, feed: Feed) -> Person | None:
        names = (str(feed.id), feed.display or "")
        return next((one for one in self._people if any(fnmatchcase(name, one.feed) for name in names)), None)
