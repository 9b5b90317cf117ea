"""A stream that a WHEP server plays, recorded by a real server; the WHEP server is a small one of our own."""

import asyncio
import time
from pathlib import Path

import pytest

from media.check.file import check_file
from recorder.kernel.connectors.source import WhepSource
from recorder.kernel.errors import BystanderError
from signaling.connectors.whep.connector import WhepConnector
from tests.connectors.calls import Call
from tests.connectors.scenes import LOOPBACK
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.api_client import ApiClient
from tests.support.intake import ReceivingIntake
from tests.support.stored import stored_media
from tests.support.whep_server import whep_server

pytestmark = pytest.mark.slow

TOKEN = "a WHEP token for tests"
SETTINGS = SHORT_FRAGMENTS | {"BYSTANDER_CONNECTORS__TARGETS": '["127.0.0.1"]'}
BACK_S_MAX = 15.0  # of silence five, then waits of at most ten


async def test_what_a_server_refuses_has_a_name() -> None:
    with whep_server(TOKEN) as whep:
        intake = ReceivingIntake()
        async with whep.playing():
            wrong = WhepConnector(WhepSource(url=whep.url, token="wrong"), LOOPBACK)
            with pytest.raises(BystanderError, match="unauthorized"):
                await wrong.run(intake)
        right = WhepConnector(WhepSource(url=whep.url, token=TOKEN), LOOPBACK)
        with pytest.raises(BystanderError, match="stream_not_found"):
            await right.run(intake)
        assert intake.names() == []


async def test_a_server_that_was_killed_is_played_again_in_the_same_recording(tmp_path: Path) -> None:
    with whep_server(TOKEN) as whep, serving(tmp_path / "data", SETTINGS) as server:
        async with ApiClient(server) as api:
            source = {"kind": "whep", "url": whep.url, "token": TOKEN, "name": "Ada"}
            async with whep.playing():
                call = await Call.begun(api, source)
                await call.until("Ada")
                await call.grows()
                recording = (await call.recording())["id"]
                whep.kill()
                async with asyncio.timeout(20.0):
                    while (await call.connector())["state"] != "CONNECTING":  # noqa: ASYNC110 - of a server
                        await asyncio.sleep(0.05)
            whep.start()
            async with whep.playing():
                began = time.monotonic()
                await call.until("Ada")
                assert time.monotonic() - began < BACK_S_MAX
                await call.grows()
                recorded = await call.end()
            assert (recorded["id"], recorded["state"]) == (recording, "AVAILABLE")
            said = [one["kind"] for one in await api.events(recording) if one["kind"].startswith("connector")]
            assert said == ["connector_connected", "connector_lost", "connector_connected"]
        report = check_file(stored_media(server.data_dir / "recordings", recording))
        assert report.ok, report.problems
