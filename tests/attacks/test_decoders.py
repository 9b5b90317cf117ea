"""What decoders take at most, measured: real pictures as large, and with as many references, as there are."""

import asyncio
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorder.kernel.limits import DECODER_BYTES_PER_RECORDING_MAX, MIB, STREAMS_PER_PUBLISHER_MAX

pytestmark = pytest.mark.slow

LARGEST = (4096, 2304)
OVER_MIB_MAX = 256  # beyond what is counted: what a decoder needs besides its pictures, and the heap's share
KEPT_MIB_MAX = 128  # by the heap, when all are gone
PICTURES = 18  # more than it takes references


def coded(size: tuple[int, int], references: int, path: Path) -> list[Path]:
    """Pictures that move, so that a decoder needs all its references."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    more = f"ref={references}:dpb-size={references}:bframes=0:keyint=infinite"
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": more}
    packets = []
    for number in range(PICTURES):
        picture = av.VideoFrame.from_ndarray(
            np.full((size[1] * 3 // 2, size[0]), 16 + number, np.uint8), format="yuv420p"
        )
        picture.pts, picture.time_base = number, Fraction(1, 25)
        packets += encoder.encode(picture)
    files = []
    for number, packet in enumerate([*packets, *encoder.encode(None)]):
        files.append(path / f"{number:03}")
        files[-1].write_bytes(bytes(packet))
    return files


async def decoded(codec: str, publishers: int, streams: int, files: list[Path]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.attacks.decoding_process", codec, str(publishers), str(streams)]
    process = await asyncio.create_subprocess_exec(*command, *map(str, files), stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(told)
    print(f"{codec}, {publishers} x {streams} streams:", found)  # noqa: T201 - figures that docs quote
    return found


@pytest.mark.parametrize("references", [1, 4, 16])
async def test_the_memory_of_decoders_is_bounded_and_given_back(tmp_path: Path, references: int) -> None:
    """Of 32 publishers with eight streams each: as many as there is memory for are decoded."""
    files = await asyncio.to_thread(coded, LARGEST, references, tmp_path)
    found = await decoded("h264", 32, STREAMS_PER_PUBLISHER_MAX, files)
    counted_mib = DECODER_BYTES_PER_RECORDING_MAX // MIB
    assert found["peak_mib"] - found["before_mib"] <= counted_mib + OVER_MIB_MAX
    assert found["after_mib"] - found["before_mib"] <= KEPT_MIB_MAX
    assert found["dropped"]["video_over_memory"] > 0
    assert found["decoded"] > 0 or references == 16  # which one publisher's share never holds


async def test_a_picture_that_is_too_large_costs_its_header(tmp_path: Path) -> None:
    key_frame = tmp_path / "key"
    key_frame.write_bytes(
        b"\x10\x02\x00\x9d\x01\x2a" + (16_000).to_bytes(2, "little") * 2 + bytes(1024 * 1024)
    )
    found = await decoded("vp8", 1, 1, [key_frame] * 100)
    assert found["decoded"] == 0
    assert found["cpu_s"] < 0.1
    assert found["peak_mib"] - found["before_mib"] < 16
