"""Whose token an entry point takes: a participant publishes as themself, and holds their share."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from recorder.kernel.conversation import Participant, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.media import Publisher, SourceKind
from recorder.kernel.recording import Recording
from recorder.services.recording import entry_points
from recorder.services.recording.entry_points import SESSIONS_PER_PARTICIPANT_MAX
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node

ALL = frozenset(SourceKind)


class Call:
    """A recording that takes publishers, and two people of its conversation."""

    def __init__(self, node: Node, recording: Recording, ada: Participant, bob: Participant) -> None:
        assert recording.entry_point is not None
        self.node = node
        self.recording = recording
        self.ada, self.bob = ada, bob
        self.address = recording.entry_point.url.rpartition("/")[2]

    async def token(self, who: Participant, sources: frozenset[SourceKind] = ALL) -> str:
        return (await self.node.entry_points.invite(self.recording.id, who.id, sources)).token

    async def publish(self, who: Participant) -> str:
        publisher = Publisher(participant=who.id, name=who.name)
        return (await self.node.entry_points.publish(self.address, publisher, "offer")).id

    async def refused(self, token: str) -> bool:
        try:
            await self.node.entry_points.check(self.address, token)
        except BystanderError as error:
            assert (error.code, error.status) == ("unauthorized", 401)
            return True
        return False


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, MemoryStore())
        recording = await node.start()
        add, conversation = node.conversations.add_participant, recording.conversation
        ada = await add(conversation, role=Role.AGENT, name="Ada")
        bob = await add(conversation, role=Role.VISITOR, name="Bob")
        yield Call(node, recording, ada, bob)


async def test_a_token_says_who_publishes_what(call: Call) -> None:
    token = await call.token(call.ada, frozenset({SourceKind.CAMERA}))
    shown = await call.node.entry_points.check(call.address, token)
    assert shown.participant is not None
    assert (shown.participant.id, shown.participant.role) == (call.ada.id, Role.AGENT)
    assert shown.sources == {SourceKind.CAMERA}
    own = await call.node.entry_points.check(call.address, call.recording.entry_point.token)  # type: ignore[union-attr]
    assert own.participant is None


async def test_nobody_makes_one_for_somebody_else(call: Call) -> None:
    token = await call.token(call.bob, frozenset({SourceKind.CAMERA}))
    identity, sources, digest = token.split(".")
    assert await call.refused(f"{call.ada.id}.{sources}.{digest}")
    assert await call.refused(f"{identity}.camera+screen_share.{digest}")
    assert await call.refused(f"{identity}.nonsense.{digest}")
    assert await call.refused(f"{identity}.{sources}.{digest}x")
    for made_up in (
        "",
        ".",
        "part_x",
        identity,
        f"{identity}.",
        new_id("part") + ".camera.x",
        "x" * 10_000,
        "\udcff",
    ):
        assert await call.refused(made_up)


async def test_a_token_is_of_one_recording(call: Call) -> None:
    token = await call.token(call.ada)
    other = await call.node.start()
    assert other.entry_point is not None
    with pytest.raises(BystanderError, match="unauthorized"):
        await call.node.entry_points.check(other.entry_point.url.rpartition("/")[2], token)
    with pytest.raises(BystanderError, match="not_found"):
        await call.node.entry_points.invite(other.id, call.ada.id, ALL)


async def test_a_new_token_of_the_participant_ends_it(call: Call) -> None:
    token = await call.token(call.ada)
    assert not await call.refused(token)
    await call.node.conversations.renew_token(call.recording.conversation, call.ada.id)
    assert await call.refused(token)


async def test_what_one_participant_takes_is_bounded(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def end(worker: object, session: str) -> None:
        ended.append(session)

    monkeypatch.setattr(entry_points, "_end", end)
    first = await call.publish(call.ada)
    await call.publish(call.bob)
    for _ in range(SESSIONS_PER_PARTICIPANT_MAX):
        await call.publish(call.ada)
    assert ended == [first]


async def test_nobody_touches_the_session_of_somebody_else(call: Call) -> None:
    session = await call.publish(call.ada)
    with pytest.raises(BystanderError, match="not_found"):
        await call.node.entry_points.unpublish(call.address, session, by=call.bob.id)
    with pytest.raises(BystanderError, match="not_found"):
        await call.node.entry_points.trickle(call.address, session, "a=x", "*", by=call.bob.id)
    await call.node.entry_points.unpublish(call.address, session, by=call.ada.id)
