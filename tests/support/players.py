"""VLC and ffplay without a screen: which of tests.support.pages they show, and which seconds are heard."""

import asyncio
import os
import re
import shutil
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.loopback import Served, serving_files
from tests.support.pages import RATE, page_of, time_of

VLC, FFPLAY = "cvlc", "ffplay"
PLAYER_S_MAX = 60.0
NOBODY = 65534  # VLC refuses to run as root
WINDOW_S = 0.1  # of sound, whose pitch is measured
AS_SHOWN = "crop=320:15:0:80,showinfo"  # where tests.support.pages.gray looks
_MEAN = re.compile(r"mean:\[(\d+)")


@dataclass(frozen=True)
class Played:
    """The pages in the order in which they were shown, and the time that each tenth of a second told of."""

    pages: list[int]
    heard_s: list[float]


@asynccontextmanager
async def serving(files: dict[str, Callable[[], bytes]]) -> AsyncIterator[Served]:
    """Serve these files, with byte ranges; they are made anew for each request."""
    with tempfile.TemporaryDirectory() as scratch:

        def written(name: str) -> Path:
            path = Path(scratch) / name
            data = files[name]()
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
            return path

        async with serving_files(written) as served:
            yield served


async def ffplay(url: str, *, start_s: float, seconds: float) -> Played:
    """Play with ffplay: it begins with the key frame before `start_s`."""
    with tempfile.TemporaryDirectory() as scratch:
        sound = Path(scratch) / "sound.raw"
        seek = ("-ss", f"{start_s}") if start_s else ()
        said = await _run(
            *(FFPLAY, "-v", "info", "-nostats", "-autoexit", *seek, "-t", f"{seconds}"),
            *("-vf", AS_SHOWN, url),
            env={"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "disk", "SDL_DISKAUDIOFILE": str(sound)},
        )
        samples = np.fromfile(sound, dtype="<i2")
    return Played(_runs([int(mean) for mean in _MEAN.findall(said)]), _heard(samples))


async def vlc(url: str, *, start_s: float, seconds: float) -> Played:
    """Play with VLC, twice: its sound card of files is faster than time, which pictures must not be."""
    with tempfile.TemporaryDirectory() as scratch:
        await asyncio.to_thread(Path(scratch).chmod, 0o777)  # VLC is somebody else
        options = ("-q", "--intf=dummy", "--vout=dummy", f"--start-time={start_s}", f"--run-time={seconds}")
        player = (*_as_nobody(), VLC, *options, "--play-and-exit")
        env = {"HOME": scratch, "XDG_RUNTIME_DIR": scratch}
        shots = ("--no-audio", "--video-filter=scene", "--scene-format=png", "--scene-ratio=1")
        await _run(*player, *shots, f"--scene-path={scratch}", url, "vlc://quit", env=env)
        wav = f"{scratch}/sound.wav"
        await _run(*player, "--aout=afile", f"--audiofile-file={wav}", url, "vlc://quit", env=env)
        return await asyncio.to_thread(_what_vlc_left, Path(scratch))


def _what_vlc_left(scratch: Path) -> Played:
    pages = [_luma(path) for path in sorted(scratch.glob("*.png"))]
    with wave.open(str(scratch / "sound.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return Played(_runs(pages), _heard(samples[:: file.getnchannels()]))


def _as_nobody() -> tuple[str, ...]:
    if os.geteuid():
        return ()
    setpriv = shutil.which("setpriv") or "setpriv"
    return setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"


async def _run(*command: str, env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), PLAYER_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return said.decode(errors="replace")


def _luma(path: Path) -> float:
    with Image.open(path) as image:
        full_range = np.asarray(image.convert("L"))[80:95].mean()
    return float(full_range) * 219 / 255 + 16


def _runs(lumas: list[float] | list[int]) -> list[int]:
    return [page for page, _ in groupby(page_of(luma) for luma in lumas)]


def _heard(samples: npt.NDArray[np.int16]) -> list[float]:
    size = round(WINDOW_S * RATE)
    windows = samples[: len(samples) // size * size].reshape(-1, size)
    loud = windows[np.abs(windows).max(axis=1) > 1000]
    spectra = np.abs(np.fft.rfft(loud * np.hanning(size), 1 << 16))
    return [time_of(float(peak) * RATE / (1 << 16)) for peak in spectra.argmax(axis=1)]
