"""ffprobe as a second opinion: thin wrappers that return its JSON."""

import json
import subprocess
from pathlib import Path
from typing import Any

_TIMEOUT_S = 60


def streams(path: Path) -> list[dict[str, Any]]:
    """What ffprobe says of each stream: codec_name, width, height, duration, nb_read_packets, ..."""
    found: list[dict[str, Any]] = _ffprobe(path, "-show_streams", "-count_packets")["streams"]
    return found


def container(path: Path) -> dict[str, Any]:
    """What ffprobe says of the file: duration, size, format_name."""
    found: dict[str, Any] = _ffprobe(path, "-show_format")["format"]
    return found


def packets(path: Path, stream: str) -> list[dict[str, Any]]:
    """The packets of one stream ("v:0", "a:0"): pts_time, dts_time, duration_time, size, flags."""
    found: list[dict[str, Any]] = _ffprobe(path, "-select_streams", stream, "-show_packets")["packets"]
    return found


def frames(path: Path, stream: str) -> list[dict[str, Any]]:
    """The decoded frames of one stream: pts_time, key_frame, pict_type, nb_samples."""
    found: list[dict[str, Any]] = _ffprobe(path, "-select_streams", stream, "-show_frames")["frames"]
    return found


def decode_errors(path: Path) -> str:
    """What ffmpeg complains of while it decodes all of the file: empty for a good one."""
    # In the file's own time base: ours keep the capture times of pictures, and rounded to the nominal frame
    # rate two of them may fall together, which ffmpeg would report as a fault of the file.
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-enc_time_base", "-1", "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return result.stderr if result.returncode == 0 else result.stderr + f"\nexit code {result.returncode}"


def _ffprobe(path: Path, *arguments: str) -> Any:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    if result.stderr:
        raise AssertionError(f"ffprobe: {result.stderr}")
    return json.loads(result.stdout)
