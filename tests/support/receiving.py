"""Entry points that really receive: each WHIP session is a media.webrtc.peer.Peer that counts its frames."""

from collections import Counter
from dataclasses import dataclass, field, replace

from media.handover.encoded_frame import EncodedFrame, SenderReport, StreamControl
from media.webrtc.peer import Peer
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import not_found
from recorder.kernel.ids import new_id
from recorder.kernel.media import PublishedSession, Publisher
from recorder.kernel.recording import Recording
from signaling.ports import Caller, Ports, Publishing
from tests.support.fake_ports import FakeEntryPoints, FakeRecordings, FakeServer


@dataclass
class Received:
    """One session: who publishes, through which peer, and how many frames of which codec came."""

    entry_point: str
    publisher: Publisher
    peer: Peer
    frames: Counter[str] = field(default_factory=Counter)
    restarts: int = 0


class CountingSink:
    """Counts frames by codec, and asks for the first key frame as a decoder would."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()

    def stream_started(self, stream: StreamControl, *, video: bool) -> None:
        if video:
            stream.request_keyframe()

    def frame(self, stream: StreamControl, frame: EncodedFrame) -> None:
        self.frames["video" if frame.codec.is_video else "audio"] += 1

    def sender_report(self, stream: StreamControl, report: SenderReport) -> None: ...

    def source_changed(self, stream: StreamControl) -> None: ...

    def stream_ended(self, stream: StreamControl) -> None: ...


class ReceivingEntryPoints(FakeEntryPoints):
    """Checks tokens as the fake does, and receives media in earnest."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server)
        self.sessions: dict[str, Received] = {}
        self.ended: list[Received] = []

    async def check(self, entry_point: str, token: str | None) -> Publishing:
        return replace(await super().check(entry_point, token), ice_servers=[])

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession:
        sink, session = CountingSink(), new_id("ses")
        peer = Peer(sink=sink, clock=SystemClock(), ice_servers=[])
        sdp, etag = await peer.accept(offer)
        self.sessions[session] = Received(entry_point, publisher, peer, sink.frames)
        return PublishedSession(id=session, sdp=sdp, etag=etag)

    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None, *, by: str | None = None
    ) -> tuple[str, str] | None:
        received = self._received(session)
        restarted = await received.peer.trickle(fragment, None if if_match == "*" else if_match)
        received.restarts += restarted is not None
        return restarted

    async def unpublish(self, entry_point: str, session: str, *, by: str | None = None) -> None:
        received = self._received(session)
        del self.sessions[session]
        self.ended.append(received)
        await received.peer.close()

    def forget(self, recording: str) -> None:
        """The sessions of a recording that ends are found no more; their peers are let go at the end."""
        gone = {
            session: received
            for session, received in self.sessions.items()
            if self._server.entry_points[received.entry_point] == recording
        }
        for session, received in gone.items():
            del self.sessions[session]
            self.ended.append(received)

    async def close(self) -> None:
        """Let every peer go."""
        for received in [*self.sessions.values(), *self.ended]:
            await received.peer.close()

    def of(self, participant: str, source: str) -> Received | None:
        """The running session of this participant and source."""
        found = [
            one
            for one in self.sessions.values()
            if (one.publisher.participant, one.publisher.source) == (participant, source)
        ]
        return found[-1] if found else None

    def _received(self, session: str) -> Received:
        try:
            return self.sessions[session]
        except KeyError:
            raise not_found("session") from None


class ReceivingRecordings(FakeRecordings):
    """A recording that is stopped takes its sessions with it, as a worker does."""

    def __init__(self, server: FakeServer, entry_points: ReceivingEntryPoints) -> None:
        super().__init__(server)
        self._entry_points = entry_points

    async def stop(self, recording: str, *, stopped_by: Caller) -> Recording:
        self._entry_points.forget(recording)
        return await super().stop(recording, stopped_by=stopped_by)


def receiving(server: FakeServer) -> tuple[Ports, ReceivingEntryPoints]:
    """The fake server's ports, with entry points that receive."""
    entry_points = ReceivingEntryPoints(server)
    recordings = ReceivingRecordings(server, entry_points)
    server.ports = replace(server.ports, entry_points=entry_points, recordings=recordings)
    return server.ports, entry_points
