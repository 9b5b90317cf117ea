"""The way into one recording for what a connector brings: its entry point, without a token."""

from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.media import MediaEvent, PublishedSession, Publisher
from recorder.services.recording.entry_points import EntryPoints
from recorder.worker_pool.pool import Worker


class Entrance:
    """Fulfils recorder.services.connectors.connection.RecordingEntrance."""

    def __init__(self, entry_point: str, entry_points: EntryPoints, worker: Worker) -> None:
        self._entry_point = entry_point
        self._entry_points = entry_points
        self._worker = worker

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession:
        """Asks for consent and for what the settings say, as for every publisher."""
        return await self._entry_points.publish(self._entry_point, publisher, offer)

    async def offer(self, publisher: Publisher) -> PublishedSession:
        """A session of somebody who answers, with our offer as its SDP."""
        return await self._entry_points.offer(self._entry_point, publisher)

    async def answered(self, session: str, answer: str) -> None:
        """The answer to it."""
        await self._worker.answered(session, answer)

    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str:
        """Listen for plain RTP, in a session of its own."""
        return await self._entry_points.receive_rtp(self._entry_point, publisher, source, address)

    async def renegotiate(self, session: str, offer: str) -> PublishedSession:
        """One more offer of a session."""
        return await self._entry_points.renegotiate(self._entry_point, session, offer)

    async def state(self, session: str, other_than: str) -> tuple[str, str | None]:
        """A session's state and its reason, once it is another one, or after a while."""
        return await self._worker.session_state(session, other_than)

    async def unpublish(self, session: str) -> None:
        await self._worker.unpublish(session)

    async def note(self, identity: str, event: MediaEvent) -> None:
        """Put something that is no media among the recording's events, now."""
        await self._worker.note(identity, event, 0.0)
