"""Recordings whose terms end them: sound only, a longest duration, and media that never comes."""

from collections.abc import Iterator

import aiohttp
import pytest

from media.check.file import check_file
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support import oracle
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.server import RunningServer
from tests.support.sounds import soundtrack
from tests.support.stored import stored_media

NO_MEDIA_S = 4.0
DURATION_S = 3.0
SETTINGS = {
    "BYSTANDER_RECORDING__TYPE": "AUDIO",
    "BYSTANDER_RECORDING__NO_MEDIA_TIMEOUT_S": str(NO_MEDIA_S),
    "BYSTANDER_RECORDING__DURATION_S_MAX": str(DURATION_S),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("data"), SHORT_FRAGMENTS | SETTINGS) as running:
        yield running


@pytest.mark.slow
async def test_sound_alone_until_the_longest_duration(server: RunningServer) -> None:
    async with ApiClient(server) as api:
        forsaken = await api.start()
        recording = await api.start()
        entry_point = recording["entry_point"]
        async with joined(entry_point, *camera(Card((9, 9, 9)), 700), participant="ada", name="Ada"):
            over = await api.until(recording["id"], "AVAILABLE", "FAILED")
        assert (over["state"], over["type"]) == ("AVAILABLE", "AUDIO")
        assert (over["end_reason"], over["failure"]) == ("ABORT_TIMEOUT", None)
        assert over["duration_s"] == pytest.approx(DURATION_S, abs=1.0)
        assert over["entry_point"] is None
        await is_gone(entry_point)

        path = stored_media(server.data_dir / "recordings", recording["id"])
        assert check_file(path).ok
        (sound,) = oracle.streams(path)
        assert sound["codec_name"] == "aac"
        assert float(sound["duration"]) == pytest.approx(over["duration_s"], abs=0.05)
        assert soundtrack(path).has(700, 1.5)

        over = await api.until(forsaken["id"], "AVAILABLE", "FAILED")
        assert (over["state"], over["end_reason"], over["failure"]) == ("FAILED", "ABORT_TIMEOUT", "no_media")
        await is_gone(forsaken["entry_point"])


async def is_gone(entry_point: dict[str, str]) -> None:
    """An entry point expires with its recording."""
    headers = {"Authorization": f"Bearer {entry_point['token']}", "Content-Type": "application/sdp"}
    async with (
        aiohttp.ClientSession(headers=headers) as late,
        late.post(entry_point["url"], data="v=0\r\n") as response,
    ):
        assert (response.status, (await response.json())["code"]) == (404, "not_found")
