"""What holds for every kind of connector, each against the system that it is for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from recorder.kernel.connectors.status import StreamState
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import SourceKind
from signaling.connectors.connector import Connector
from signaling.connectors.targets import ConnectorTargets
from tests.connectors.scenes import SCENES, SLOW, WITH_A_ROOM, WITH_A_SERVER, Scene
from tests.support.intake import ReceivingIntake

CAMERA = SourceKind.CAMERA


def kinds(names: Iterable[str]) -> list[ParameterSet]:
    """Kinds of connector as parameters."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.fixture(params=kinds(SCENES))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with SCENES[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
async def intake() -> AsyncIterator[ReceivingIntake]:
    opened = ReceivingIntake()
    yield opened
    await opened.close()


@asynccontextmanager
async def running(connector: Connector, intake: ReceivingIntake) -> AsyncIterator[asyncio.Task[None]]:
    """The connector runs for the length of the block."""
    task = asyncio.create_task(connector.run(intake))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BystanderError):
            await task


async def test_people_are_taken_as_they_come_and_let_go_as_they_leave(
    scene: Scene, intake: ReceivingIntake
) -> None:
    async with scene.somebody("Ada"), running(scene.connector(), intake):
        await intake.until(lambda: intake.receives("Ada", "audio", "video"))
        await intake.until(lambda: {one.state for one in intake.streams.values()} == {StreamState.CONNECTED})
        if scene.people_max > 1:
            async with scene.somebody("Bob"):
                await intake.until(lambda: intake.receives("Bob", "audio", "video"))
                assert intake.names() == [("Ada", CAMERA), ("Bob", CAMERA)]
            await intake.until(lambda: [one.name for one in intake.streams.values()] == ["Ada"])
        assert intake.names() == [("Ada", CAMERA)]
        assert intake.connections == 1
    assert intake.names() == []  # cancelled, it takes back all
    assert intake.streams == {}


@pytest.mark.parametrize("scene", kinds(WITH_A_ROOM), indirect=True)
async def test_who_leaves_and_comes_again_is_taken_again(scene: Scene, intake: ReceivingIntake) -> None:
    async with running(scene.connector(), intake):
        for _ in range(2):
            async with scene.somebody("Ada"):
                await intake.until(lambda: intake.receives("Ada", "audio", "video"))
            await intake.until(lambda: not intake.receives("Ada", "audio"))


@pytest.mark.parametrize("scene", kinds(WITH_A_SERVER), indirect=True)
async def test_a_system_that_ends_without_a_word_is_noticed(scene: Scene, intake: ReceivingIntake) -> None:
    async with scene.somebody("Ada"), running(scene.connector(), intake) as task:
        await intake.until(lambda: intake.receives("Ada", "audio"))
        scene.break_down()
        await asyncio.wait([task], timeout=20.0)
        lost = task.exception()
        assert isinstance(lost, BystanderError)
        assert (lost.code, lost.fault) == ("connection_lost", Fault.PEER)
        assert intake.names() == []
        with pytest.raises(BystanderError) as unreachable:
            await scene.connector().run(intake)
        assert unreachable.value.code == "unreachable"


async def test_nothing_is_connected_to_that_is_not_listed(scene: Scene, intake: ReceivingIntake) -> None:
    with pytest.raises(BystanderError) as refused:
        await scene.connector(ConnectorTargets(["public", "10.0.0.0/8"])).run(intake)
    assert (refused.value.code, refused.value.fault) == ("target_not_allowed", Fault.CALLER)
    assert intake.connections == 0


async def test_who_is_refused_is_told_why_and_secrets_are_in_no_line(
    scene: Scene, intake: ReceivingIntake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    intake.refusal = BystanderError("consent_required", "Not agreed.", fault=Fault.CALLER, status=403)
    connector = scene.connector()
    async with scene.somebody("Ada"), running(connector, intake):
        await intake.until(lambda: bool(intake.streams))
        await intake.until(lambda: intake.told[-1].state is StreamState.REFUSED)
        assert intake.told[-1].reason == "consent_required"
        intake.refusal = None
        await intake.until(lambda: intake.receives("Ada", "audio"))  # asked for again
    said = caplog.text + repr(connector) + repr(vars(connector)) + repr(intake.told)
    assert not [secret for secret in scene.secrets if secret in said]
