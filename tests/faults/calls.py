"""Whole calls on a whole server that ships to a real store: begun, broken, and looked at afterwards."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from media.check.file import check_file
from recorder.demo.publisher import Epoch, SceneTrack, VoiceTrack
from storage.keys import events_key
from storage.open_store import open_store
from tests.faults.scene import leftovers
from tests.storage.stores import s3_settings
from tests.support.api_client import ApiClient
from tests.support.participants import Card, joined, tone
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, ServerProcess
from tests.support.server import RunningServer

MEDIA_LOST_S_MAX = 2.0  # what a kill -9 may cost of what was sent by then
TAIL_S = 1.0
FPS = 10
SENDING_S_MAX = 20.0  # until a participant is connected
SMALL = {  # so that ten calls at once leave a small machine time for everything else
    "BYSTANDER_RECORDING__AFTER_INTERRUPTION": "new",
    "BYSTANDER_RECORDING__WIDTH": "160",
    "BYSTANDER_RECORDING__HEIGHT": "90",
    "BYSTANDER_RECORDING__FPS": str(FPS),
}


def on_s3(server: ServerProcess, prefix: str) -> dict[str, str]:
    return SMALL | {
        "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/{prefix}",
        "BYSTANDER_STORAGE__ENDPOINT": server.endpoint,
        "BYSTANDER_STORAGE__REGION": "us-east-1",
        "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
        "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "BYSTANDER_STORAGE__TAIL_INTERVAL_S": str(TAIL_S),
    }


class Noted(Epoch):
    """An epoch that notes when (Unix time) it began: when the first media was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.began: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def reach(self, at_s: float) -> None:
        if not self.began.done():
            self.began.set_result(time.time())
        await super().reach(at_s)


class StillCard(Card):
    """A picture at rest: its fragments are joined, and still must not cost more."""

    def picture(self, at_s: float) -> Image.Image:
        return super().picture(0.0)


@dataclass(frozen=True)
class Call:
    """One that is being recorded; `began_s` is when (Unix time) its first media was sent."""

    recording: str
    entry_point: dict[str, Any]
    began_s: float

    @property
    def lasts_s(self) -> float:
        """How long it has been recorded by now."""
        return time.time() - self.began_s


async def begin(api: ApiClient, stack: AsyncExitStack, *, still: bool = False) -> Call:
    """A call of one participant who goes on sending until `stack` ends."""
    recording = await api.start()
    began_s = await join(recording["entry_point"], stack, "ada", still=still)
    await api.until(recording["id"], "RECORDING")
    return Call(recording["id"], recording["entry_point"], began_s)


async def join(entry_point: dict[str, Any], stack: AsyncExitStack, who: str, *, still: bool = False) -> float:
    """One participant more; when its first media was sent."""
    card, epoch = (StillCard if still else Card)((200, 40, 40), 160, 90), Noted()
    tracks = (SceneTrack(card, fps=FPS, epoch=epoch), VoiceTrack(tone(700), epoch=epoch))
    await stack.enter_async_context(joined(entry_point, *tracks, participant=who, name=who))
    async with asyncio.timeout(SENDING_S_MAX):
        return await epoch.began


@dataclass(frozen=True)
class Kept:
    """The one object of a recording, which is whole, and the lines of its events."""

    duration_s: float
    events: list[bytes]


async def kept(server: ServerProcess, prefix: str, recording: str, directory: Path) -> Kept:
    """Look at it as somebody else's program would."""
    store = open_store(s3_settings(server.endpoint, prefix=prefix))
    try:
        (info,) = [info async for info in store.list_objects() if info.key.endswith(f"{recording}.mp4")]
        target = directory / f"{recording}.mp4"
        with target.open("wb") as file:
            async for chunk in store.read(info.key, 0, info.size):
                file.write(chunk)
        sidecar = await store.head(events_key(info.key))
        lines = b"".join([chunk async for chunk in store.read(sidecar.key, 0, sidecar.size)])
    finally:
        await store.close()
    report = await asyncio.to_thread(check_file, target)
    assert report.ok, report.problems
    return Kept(report.duration_s, lines.splitlines())


async def nothing_beside(server: ServerProcess, prefix: str) -> bool:
    """Whether no upload dangles and nothing lies beside one."""
    store = open_store(s3_settings(server.endpoint, prefix=prefix))
    try:
        return await leftovers(store) == []
    finally:
        await store.close()


def workers_by_recording(data_dir: Path) -> Mapping[str, int]:
    """The process ids of running workers, whoever started them: who writes a spool is one."""
    spool = str(data_dir.absolute() / "spool")
    found = {}
    for process in psutil.process_iter(["pid"]):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            for file in process.open_files():
                if file.path.startswith(spool) and file.path.endswith("/media") and file.mode == "r+":
                    found[Path(file.path).parent.name] = process.pid
    return found


def kill_all(server: RunningServer) -> None:
    """kill -9 of the server and of its workers."""
    workers = workers_by_recording(server.data_dir)
    server.kill()
    for worker in workers.values():
        os.kill(worker, signal.SIGKILL)
