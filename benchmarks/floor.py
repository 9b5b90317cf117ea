"""The same work in C: what decoding, composing and coding take at the least, with the worker's own options.

Two ways, because their builds differ: Debian's ffmpeg as a whole, and the libraries inside PyAV (which the
worker uses) driven by a plain loop. Both read files as fast as they can, which flatters them: caches stay
warm and nobody waits for packets.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.streams import SECONDS, Stream
from media.audio.encoder import AAC_CODER
from media.video.encoder import PRESET, VBV_BUFFER_S, X264_PARAMETERS
from media.webrtc.read_interval import batch_s
from recorder.kernel.media import Canvas
from recorder.kernel.recording import RecordingPlan

FRAGMENT_S = 2
PACED_S = 10
DEFAULTS = RecordingPlan(recording="", conversation="")


@dataclass(frozen=True)
class Task:
    """What is made of which streams."""

    streams: tuple[Stream, ...]
    canvas: Canvas
    bitrate_max: int = DEFAULTS.video_bitrate_max

    @property
    def filters(self) -> str:
        """Pictures side by side in the middle of the canvas, sound added up."""
        width, height = self.canvas.width, self.canvas.height
        count = len(self.streams)
        names = [f"[{index}:v]" for index in range(count)]
        beside = f"{''.join(names)}hstack={count}," if count > 1 else names[0]
        pictures = f"{beside}pad={width}:{height}:(ow-iw)/2:(oh-ih)/2[v]"
        sounds = "".join(f"[{count + index}:a]" for index in range(count))
        return f"{pictures};{sounds}amix={count},aformat=channel_layouts=mono[a]"


def x264_options(bitrate_max: int) -> dict[str, str]:
    """The worker's options, as FFmpeg's libx264 takes them."""
    parameters = {name: value for name, value in X264_PARAMETERS.items() if name != "annexb"}
    return {
        "preset": PRESET,
        "crf": str(DEFAULTS.video_crf),
        "maxrate": str(bitrate_max),
        "bufsize": str(round(bitrate_max * VBV_BUFFER_S)),
        "forced-idr": "1",
        "x264-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
    }


def ffmpeg(task: Task, *, paced: bool = False) -> float:
    """Cores that Debian's ffmpeg takes: CPU seconds for a second of the recording.

    `paced`: it reads its files in real time, as a call comes.
    """
    seconds = PACED_S if paced else SECONDS
    with tempfile.TemporaryDirectory() as directory:
        command = _command(task, Path(directory) / "out.mp4", paced=paced, seconds=seconds)
        return _cpu_s(command) / seconds


def libraries(task: Task, *, paced: bool = False) -> float:
    """The same with the libraries that the worker uses, in a plain loop.

    `paced`: in real time, a batch at once as the worker takes them; nothing that is live can cost less.
    """
    canvas = task.canvas
    seconds, at_once_s = (PACED_S, batch_s(canvas)) if paced else (SECONDS, 0.0)
    numbers = (canvas.width, canvas.height, canvas.fps, task.bitrate_max, seconds, at_once_s)
    command = [sys.executable, "-m", "benchmarks.floor_loop", *map(str, numbers)]
    command += [str(stream.pictures) for stream in task.streams]
    command += ["--", *(str(stream.sound) for stream in task.streams)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(said) / seconds


def _command(task: Task, output: Path, *, paced: bool, seconds: float) -> list[str]:
    inputs = [stream.pictures for stream in task.streams] + [stream.sound for stream in task.streams]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error"]
    for path in inputs:
        command += [*(["-re"] if paced else []), "-threads", "1", "-i", str(path)]
    command += ["-filter_threads", "1", "-filter_complex_threads", "1"]
    command += ["-filter_complex", task.filters, "-map", "[v]", "-map", "[a]"]
    command += ["-c:v", "libx264", "-force_key_frames", f"expr:gte(t,n_forced*{FRAGMENT_S})"]
    for name, value in x264_options(task.bitrate_max).items():
        command += [f"-{name}", value]
    command += ["-c:a", "aac", "-aac_coder", AAC_CODER, "-b:a", str(DEFAULTS.audio_bitrate)]
    return [*command, "-movflags", "frag_keyframe+empty_moov", "-t", str(seconds), str(output)]


def _cpu_s(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
