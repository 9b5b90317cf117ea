"""The store is gone for as long as one likes in the middle of a real call: `python -m tests.faults.outage`.

    python -m tests.faults.outage --how killed --outage-s 3600     the hour, by the clock

A whole server records a participant who goes on sending; the first seconds are noise, so that parts of the
recording are in the store when it goes. rclone forgets its uploads when it is killed, and keeps them when it
is paused: then its connections stand and answer nothing.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from PIL import Image

from media.check.file import check_file
from storage.open_store import open_store
from storage.store import ObjectStore
from tests.faults.scene import leftovers
from tests.storage.stores import s3_settings
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, ServerProcess, rclone
from tests.support.server import RunningServer, running_server

HOWS = ("killed", "paused")
FPS = 10
LOOK_S = 60.0  # between two looks at a recording whose store is gone
PARTS_S_MAX = 60.0  # until a part is in the store; so long it storms at least
STORED_S_MAX = 600.0  # from the end of the call to the verified object
DURATION_OFF_S_MAX = 2.5  # of the recording, against the wall clock


@dataclass
class Storm:
    """A Scene that nobody can compress for a while, and a card with a bar that moves after that."""

    noisy_s: float
    width: int = 640
    height: int = 360

    def __post_init__(self) -> None:
        self._chance = np.random.default_rng(7)
        self._calm = Card((40, 90, 160), self.width, self.height)

    def picture(self, at_s: float) -> Image.Image:
        if at_s >= self.noisy_s:
            return self._calm.picture(at_s)
        return Image.fromarray(self._chance.integers(0, 256, (self.height, self.width, 3), np.uint8))


@dataclass(frozen=True)
class Endured:
    """What an outage came to; times in seconds."""

    how: str
    outage_s: float
    call_s: float
    duration_s: float
    size: int
    parts_before: int
    spooled_bytes: int  # when the store was back
    to_verified_s: float  # from the end of the call
    memory_before_mib: float
    memory_after_mib: float
    same_key: bool
    valid: bool


def settings_of(server: ServerProcess) -> dict[str, str]:
    """Small pictures, coded without loss, so that noise makes parts and everything else costs little."""
    return {
        "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/calls",
        "BYSTANDER_STORAGE__ENDPOINT": server.endpoint,
        "BYSTANDER_STORAGE__REGION": "us-east-1",
        "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
        "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "BYSTANDER_RECORDING__WIDTH": "640",
        "BYSTANDER_RECORDING__HEIGHT": "360",
        "BYSTANDER_RECORDING__FPS": str(FPS),
        "BYSTANDER_RECORDING__VIDEO_CRF": "1",
        "BYSTANDER_RECORDING__VIDEO_BITRATE_MAX": "60000000",
    }


async def endure(
    directory: Path,
    how: str,
    *,
    before_s: float,
    outage_s: float,
    after_s: float,
    told: Callable[[str], None],
) -> Endured:
    """Hold the call, take the store away and bring it back, and look at the object."""
    with (
        rclone(directory / "store") as store_server,
        running_server(directory / "data", settings=settings_of(store_server)) as server,
    ):
        async with ApiClient(server) as api:
            recording = await api.start()
            tracks = camera(Storm(before_s + PARTS_S_MAX), 700, fps=FPS)
            async with joined(recording["entry_point"], *tracks, participant="ada", name="Ada"):
                await api.until(recording["id"], "RECORDING")
                began_s = time.monotonic()
                parts, key = await _parts(server, recording["id"], began_s + before_s)
                memory_before_mib = _memory_mib(server)
                store_server.kill() if how == "killed" else store_server.pause()
                told(f"{how} after {time.monotonic() - began_s:.1f} s, with {parts} parts in the store")
                await _outage(api, server, recording["id"], outage_s, told)
                await asyncio.to_thread(store_server.start) if how == "killed" else store_server.resume()
                spooled = (server.data_dir / "spool" / recording["id"] / "media").stat().st_size
                told(f"back, {spooled} bytes in the spool, the server has {_memory_mib(server):.0f} MiB")
                await asyncio.sleep(after_s)
                memory_after_mib = _memory_mib(server)
                await api.stop(recording["id"])
                ended_s = time.monotonic()
            over = await _stored(api, recording["id"])
            to_verified_s = time.monotonic() - ended_s
        valid, duration_s, stored_key = await _object(store_server, over, directory, told)
    return Endured(
        how=how,
        outage_s=outage_s,
        call_s=ended_s - began_s,
        duration_s=duration_s,
        size=over["bytes"] or 0,
        parts_before=parts,
        spooled_bytes=spooled,
        to_verified_s=to_verified_s,
        memory_before_mib=memory_before_mib,
        memory_after_mib=memory_after_mib,
        same_key=stored_key == key,
        valid=valid and over["state"] == "AVAILABLE",
    )


async def _parts(server: RunningServer, recording: str, until_s: float) -> tuple[int, str]:
    """How many parts the store has acknowledged then, waiting a while for the first; and the object's key."""
    spool = server.data_dir / "spool" / recording
    deadline_s = until_s + PARTS_S_MAX
    while True:
        path = spool / "upload.json"
        upload: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        acknowledged = sum(bool(part["etag"]) for part in upload.get("parts", ()))
        if acknowledged and time.monotonic() >= until_s:
            key = msgspec.json.decode((spool / "facts.json").read_bytes())["key"]
            return acknowledged, str(key)
        if time.monotonic() > deadline_s:
            return 0, str(msgspec.json.decode((spool / "facts.json").read_bytes())["key"])
        await asyncio.sleep(0.2)


async def _outage(
    api: ApiClient, server: RunningServer, recording: str, outage_s: float, told: Callable[[str], None]
) -> None:
    """The recording notices nothing: it is RECORDING and grows, look after look."""
    until_s = time.monotonic() + outage_s
    before_s = -1.0
    while (left_s := until_s - time.monotonic()) > 0:
        await asyncio.sleep(min(LOOK_S, left_s))
        now = await api.recording(recording)
        assert now["state"] == "RECORDING", now
        assert now["duration_s"] > before_s, now
        before_s = now["duration_s"]
        told(f"{max(0.0, until_s - time.monotonic()):.0f} s left: {before_s:.1f} s are recorded")


async def _stored(api: ApiClient, recording: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + STORED_S_MAX
    while (now := await api.recording(recording))["state"] not in ("AVAILABLE", "FAILED"):
        assert time.monotonic() < deadline_s, now
        await asyncio.sleep(0.1)
    return now


async def _object(
    server: ServerProcess, over: dict[str, Any], directory: Path, told: Callable[[str], None]
) -> tuple[bool, float, str]:
    """Whether the one object is whole, its duration and its key; nothing lies beside it."""
    store: ObjectStore = open_store(s3_settings(server.endpoint, prefix="calls"))
    try:
        (info,) = [info async for info in store.list_objects() if info.key.endswith(".mp4")]
        target = directory / "object.mp4"
        with target.open("wb") as file:
            async for chunk in store.read(info.key, 0, info.size):
                file.write(chunk)
        beside = await leftovers(store)
    finally:
        await store.close()
    report = await asyncio.to_thread(check_file, target)
    told(f"{info.key}: {info.size} bytes, {report.duration_s:.2f} s, {report.problems or 'whole'}")
    return report.ok and beside == [] and info.size == over["bytes"], report.duration_s, info.key


def _memory_mib(server: RunningServer) -> float:
    return float(psutil.Process(server.pid).memory_info().rss) / 2**20


def main() -> None:
    """One outage; exit code 1 unless the object is what it should be."""
    parser = argparse.ArgumentParser(description="A real call whose store is gone for a while.")
    parser.add_argument("--how", choices=HOWS, default="killed")
    parser.add_argument("--before-s", type=float, default=60.0)
    parser.add_argument("--outage-s", type=float, default=3600.0)
    parser.add_argument("--after-s", type=float, default=10.0)
    parser.add_argument("--directory", type=Path, help="stays; else a temporary one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = chosen.directory or Path(temporary)
        endured = asyncio.run(
            endure(
                directory,
                chosen.how,
                before_s=chosen.before_s,
                outage_s=chosen.outage_s,
                after_s=chosen.after_s,
                told=lambda line: print(time.strftime("%H:%M:%S"), line, flush=True),  # noqa: T201
            )
        )
    for name, value in asdict(endured).items():
        print(f"{name:<18} {value}")  # noqa: T201
    off_s = abs(endured.duration_s - endured.call_s)
    raise SystemExit(not (endured.valid and endured.same_key and off_s <= DURATION_OFF_S_MAX))


if __name__ == "__main__":
    main()
