"""The roster of a recording: sessions and their streams, from when they come until they go.

What came is told at once, because its media needs a place to wait in; who takes or leaves a seat on the
canvas does so when that instant is rendered. Times are local; `come_and_go` says how far it is rendered.
"""

from collections import Counter, deque
from collections.abc import Iterator

from media.handover.render_queue import Joined, Left, StreamEnded, StreamStarted
from media.render.audio_track import AudioTrackRenderer
from media.render.scene import Scene
from media.render.streams import PictureSource, SoundSource
from media.sync.activity import ActivityDetector
from media.sync.event_log import EventLog
from media.sync.timeline import SenderClock
from media.video.decoder import PictureDecoder
from media.video.decoder_limits import MemoryShare, publisher_share, recording_share
from recorder.kernel.media import Publisher, SourceKind

CHANGES_WAITING_MAX = 1024  # who comes and goes: a handshake each, so more in a few seconds is an attack


class RosterEntry:
    """One WHIP session: who it is, its clock, its streams in the order in which they began."""

    def __init__(self, publisher: Publisher, memory: MemoryShare) -> None:
        self.publisher = publisher
        self.memory = memory  # of its decoders, one share for all sessions of a participant
        self.clock = SenderClock()
        self.streams: dict[str, SoundSource | PictureSource] = {}
        self.presence = ActivityDetector()


class Roster:
    """Keeps the sessions of one recording, gives them their places in picture and sound, and tells of it."""

    def __init__(
        self, chronicle: EventLog, sound: AudioTrackRenderer, picture: Scene | None, *, pixels_max: int
    ) -> None:
        self.dropped: Counter[str] = Counter()  # beside what the streams that are here count themselves
        self._chronicle = chronicle
        self._sound = sound
        self._picture = picture
        self._pixels_max = pixels_max
        self._memory = recording_share()
        self._sessions: dict[str, RosterEntry] = {}
        self._session_of: dict[str, RosterEntry] = {}  # by stream
        self._coming: deque[Joined | Left | StreamEnded] = deque()

    # --- who is here ----------------------------------------------------------------------------------
    def session(self, key: str) -> RosterEntry | None:
        """The session of this key."""
        return self._sessions.get(key)

    def session_of(self, stream: str) -> RosterEntry | None:
        """The session that a stream belongs to."""
        return self._session_of.get(stream)

    def sessions(self) -> Iterator[RosterEntry]:
        """All sessions, in the order in which they came."""
        yield from list(self._sessions.values())

    def sources(self) -> Iterator[SoundSource | PictureSource]:
        """The streams of all sessions."""
        for session in self.sessions():
            yield from list(session.streams.values())

    def all_dropped(self) -> Counter[str]:
        """Frames and samples that are not in the recording, by reason, of all streams so far."""
        total = Counter(self.dropped)
        for source in self.sources():
            total.update(_dropped(source))
        return total

    # --- what is told ---------------------------------------------------------------------------------
    def joined(self, item: Joined) -> None:
        """Somebody joined; the seat is taken when that is rendered."""
        self._sessions[item.session] = RosterEntry(item.publisher, self._share_of(item.publisher))
        self._chronicle.say("joined", item.at_ns, item.publisher)
        self.wait(item)

    def started(self, item: StreamStarted) -> None:
        """A stream began: it has a place from now on."""
        session = self._sessions.get(item.session)
        if session is None or (item.video and self._picture is None):
            return
        source: SoundSource | PictureSource
        if item.video and self._picture is not None:
            decoder = PictureDecoder(session.memory, pixels_max=self._pixels_max)
            source = PictureSource(item.key, item.session, decoder)
            self._picture.add(source, self._chronicle.on_clock(item.at_ns))
        else:
            source = self._sound.new_source(item.key, item.session)
        session.streams[item.key] = source
        if not item.video or session.publisher.source is SourceKind.CAMERA:
            session.presence.begin(item.key, item.at_ns)
        self._session_of[item.key] = session
        media = "video" if item.video else "audio"
        self._chronicle.say("stream_started", item.at_ns, session.publisher, stream=item.key, media=media)

    def wait(self, item: Joined | Left | StreamEnded) -> None:
        """Until its time is rendered; when too many wait, the first is let through before, and counted."""
        self._coming.append(item)
        if len(self._coming) > CHANGES_WAITING_MAX:
            self.dropped["changes_before_their_time"] += 1
            self.come_and_go(self._coming[0].at_ns)

    # --- time passes ----------------------------------------------------------------------------------
    @property
    def next_ns(self) -> int | None:
        """When somebody comes or goes next; None when nobody does."""
        return self._coming[0].at_ns if self._coming else None

    def seat_all(self) -> None:
        """Who is here when the recording begins is in it from its first picture on."""
        joins = [item for item in self._coming if isinstance(item, Joined)]
        self._coming = deque(item for item in self._coming if not isinstance(item, Joined))
        for item in joins:
            self._seat(item)

    def come_and_go(self, until_ns: int) -> None:
        """Let those join and leave whose time is rendered; media that was sent before is in the recording."""
        while self._coming and self._coming[0].at_ns <= until_ns:
            item = self._coming.popleft()
            match item:
                case Joined():
                    self._seat(item)
                case Left(key, at_ns):
                    self._end_session(key, at_ns)
                case StreamEnded(key, at_ns):
                    self._end_stream(key, at_ns)

    def tell_changes(self, now_ns: int) -> None:
        """Tell who fell silent or is back, and whose codec or size is another."""
        for session in self._sessions.values():
            for notice in session.presence.check(now_ns):
                self._chronicle.say(notice.kind, notice.at_ns, session.publisher, **notice.detail)
            for source in session.streams.values():
                for kind, at_ns, detail in source.changes:
                    self._chronicle.say(kind, at_ns, session.publisher, stream=source.key, **detail)
                source.changes.clear()

    def _share_of(self, publisher: Publisher) -> MemoryShare:
        same = (s.memory for s in self._sessions.values() if s.publisher.participant == publisher.participant)
        return next(same, None) or publisher_share(self._memory)

    def _seat(self, item: Joined) -> None:
        if self._picture is not None:
            self._picture.join(item.session, item.publisher, self._chronicle.on_clock(item.at_ns))

    def _end_session(self, key: str, at_ns: int) -> None:
        session = self._sessions.get(key)
        if session is None:
            return
        for stream in list(session.streams):
            self._end_stream(stream, at_ns)
        del self._sessions[key]
        if self._picture is not None:
            self._picture.leave(key, self._chronicle.on_clock(at_ns))
        self._chronicle.say("left", at_ns, session.publisher)

    def _end_stream(self, key: str, at_ns: int) -> None:
        session = self._session_of.pop(key, None)
        if session is None:
            return
        source = session.streams.pop(key)
        session.presence.end(key)
        session.clock.forget(key)
        self.dropped.update(_dropped(source))
        if isinstance(source, PictureSource) and self._picture is not None:
            source.decoder.close()
            self._picture.remove(source, self._chronicle.on_clock(at_ns))
        self._chronicle.say("stream_ended", at_ns, session.publisher, stream=key)


def _dropped(source: SoundSource | PictureSource) -> Counter[str]:
    if isinstance(source, SoundSource):
        return source.decoder.dropped + source.voice.dropped
    return source.decoder.dropped
