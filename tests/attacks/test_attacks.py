"""Attacks on a real server, by its table: others go on as before, and no log holds a secret."""

from collections.abc import Iterator
from pathlib import Path

import aioice.ice
import pytest

from media.check.file import check_file
from tests.attacks import keys, participants, publishers, strangers
from tests.attacks.scene import ANNA, SETTINGS, Talk, opened, talking
from tests.attacks.table import ATTACKS
from tests.support.api_client import ApiClient
from tests.support.server import RunningServer, running_server

RECORDED_S_MIN = 1.0
MODULES = (strangers, participants, publishers, keys)  # which filled the table


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data_dir = tmp_path_factory.mktemp("attacked") / "data"
    with running_server(data_dir, settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def talk(server: RunningServer) -> Iterator[Talk]:
    with talking(server) as talk:
        yield talk


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishers of this process have the one address that the server has."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.mark.parametrize(
    "number", range(len(ATTACKS)), ids=[f"{row.who}: {row.tries.__name__}" for row in ATTACKS]
)
async def test_others_notice_nothing(server: RunningServer, talk: Talk, number: int) -> None:
    row = ATTACKS[number]
    async with opened(server, number, talk if row.in_call else None) as scene:
        await row.tries(scene)
        await scene.goes_on()
        log = server.log.read_text()
        assert "Traceback" not in log
        assert not [secret for secret in scene.secrets if secret in log]


async def test_what_was_said_meanwhile_is_recorded_whole(
    server: RunningServer, talk: Talk, tmp_path: Path
) -> None:
    async with ApiClient(server) as operator:
        identity = talk.recording["id"]
        await operator.until_it(identity, lambda now: now["duration_s"] > RECORDED_S_MIN)
        await operator.stop(identity)
        over = await operator.until(identity, "AVAILABLE", "FAILED")
        assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
        events = await operator.events(identity)
        (tmp_path / "recording.mp4").write_bytes(await operator.media(identity))
    assert check_file(tmp_path / "recording.mp4").problems == []
    of_anna = [event["kind"] for event in events if event["participant"] == ANNA]
    assert [kind for kind in of_anna if kind in ("joined", "left", "connection_failed")] == ["joined", "left"]
    assert not [event for event in events if event["kind"] == "gap"]
