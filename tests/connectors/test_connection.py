"""A connector for one recording: tried again and again, until it is refused for good."""

import asyncio
from collections.abc import Callable

from recorder.kernel.clock import ManualClock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.connectors.status import ConnectorState
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent, PublishedSession, Publisher
from recorder.services.connectors.connection import AGAIN_S_MAX, Connection, Place
from signaling.connectors.connector import Connector, Intake, connection_lost, refused, unreachable

Act = Callable[[Intake], None]


class Recording:
    """An entrance that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, dict[str, object]]] = []

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession:
        raise NotImplementedError

    async def offer(self, publisher: Publisher) -> PublishedSession:
        raise NotImplementedError

    async def answered(self, session: str, answer: str) -> None:
        raise NotImplementedError

    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str:
        raise NotImplementedError

    async def renegotiate(self, session: str, offer: str) -> PublishedSession:
        raise NotImplementedError

    async def state(self, session: str, other_than: str) -> tuple[str, str | None]:
        raise NotImplementedError

    async def unpublish(self, session: str) -> None:
        raise BystanderError("not_found", "It has ended by itself.", fault=Fault.CALLER, status=404)

    async def note(self, identity: str, event: MediaEvent) -> None:
        self.notes.append((event.kind, event.detail))


class Scripted:
    """A connector that fails as the script says, connected before where it says that."""

    def __init__(self, error: Exception, *, connects: bool) -> None:
        self._error = error
        self._connects = connects

    async def run(self, intake: Intake) -> None:
        if self._connects:
            intake.connected()
        await intake.unpublish("ses_unknown")  # no matter
        raise self._error


async def lived(*script: tuple[Exception, bool]) -> tuple[Connection, Recording, list[float]]:
    """A connection that is refused for good after what the script says."""
    clock, recording, waits = ManualClock(), Recording(), list[float]()
    acts = iter([*script, (refused("unauthorized", "No."), False)])

    def make() -> Connector:
        error, connects = next(acts)
        return Scripted(error, connects=connects)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)
        await asyncio.sleep(0)

    connection = Connection(Place("int_1", "rec_1", "janus"), make, recording, clock, sleep=sleep)
    await connection.run()
    await asyncio.sleep(0)
    return connection, recording, waits


async def test_what_is_refused_for_good_is_not_tried_again() -> None:
    connection, recording, waits = await lived()
    status = connection.status()
    assert (status.state, status.reason, waits) == (ConnectorState.FAILED, "unauthorized", [])
    assert recording.notes == []


async def test_waits_grow_until_it_is_connected_and_begin_anew_after() -> None:
    failures = [(unreachable("No."), False)] * 7
    _, _, waits = await lived(*failures, (connection_lost("Gone."), True), (unreachable("No."), False))
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert max(waits) == AGAIN_S_MAX
    assert waits[7:] == [0.25, 0.5]


async def test_a_loss_and_its_length_are_among_the_recordings_events() -> None:
    lost = connection_lost("Gone.")
    _, recording, waits = await lived((lost, True), (unreachable("No."), False), (lost, True))
    assert [kind for kind, _ in recording.notes] == [
        "connector_connected",
        "connector_lost",
        "connector_connected",
        "connector_lost",
    ]
    assert recording.notes[1][1] == {
        "connector": "janus",
        "interaction": "int_1",
        "reason": "connection_lost",
    }
    assert recording.notes[2][1]["length_s"] == sum(waits[:2])


async def test_a_worker_that_is_gone_is_no_loss_of_the_connector() -> None:
    gone = BystanderError("worker_unreachable", "Gone.", fault=Fault.SERVER, status=503)
    _, recording, _ = await lived((gone, True))
    assert [kind for kind, _ in recording.notes] == ["connector_connected"]


async def test_a_defect_is_one_connectors_own_and_it_is_tried_again() -> None:
    connection, _, waits = await lived((RuntimeError("a defect"), True))
    assert len(waits) == 1
    assert connection.status().state is ConnectorState.FAILED
