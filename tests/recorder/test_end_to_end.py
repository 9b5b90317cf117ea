"""A real server with real workers, media and storage: what a call service sees of a recording."""

import asyncio
from pathlib import Path

import media.check
from tests.support.api_client import ApiClient
from tests.support.server import running_server


async def test_a_call_is_recorded_from_offer_to_mp4(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            assert recording["state"] == "READY"
            identity = recording["id"]
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada", role="AGENT"):
                await api.until(identity, "RECORDING")
                await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 1)
                assert len(await api.media(identity)) > 1000  # while it is still being recorded
            await api.stop(identity)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
            data = await api.media(identity)
            assert len(data) == over["bytes"]
    file = tmp_path / "recording.mp4"
    await asyncio.to_thread(file.write_bytes, data)
    assert media.check.main(str(file)) == 0
