"""Pictures from strangers: JPEG or PNG by what they hold, of a bounded size, and whole."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recorder.archive.file_spool import PREFIX, FileSpool
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.limits import MIB

PICTURE_BYTES_MAX = 20 * MIB
PICTURE_PIXELS_MAX = 36_000_000  # what the cameras of phones make; 3840x2160 is a quarter of it
SIDE_PIXELS_MIN = 32
DECODING_S_MAX = 20.0
_DECODER = Path(__file__).with_name("picture_decoder.py")
_TYPES = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg")}


class Picture(NamedTuple):
    """What a file turned out to hold."""

    content_type: str
    extension: str
    bytes: int
    width: int
    height: int


async def received_picture(spool: FileSpool, file: str, chunks: AsyncIterator[bytes]) -> Picture:
    """Take a picture whole into the spool and look at it; 413 picture_too_large, 422 picture_invalid.

    What is refused is removed again.
    """
    await spool.create(file)
    try:
        return await _checked(spool, file, chunks)
    except BaseException:
        await spool.remove(file)
        raise


def scratch_id() -> str:
    """A name in the spool for what is no file of a conversation."""
    return new_id(PREFIX)


async def _checked(spool: FileSpool, file: str, chunks: AsyncIterator[bytes]) -> Picture:
    try:
        size = await spool.append(file, 0, chunks, bytes_max=PICTURE_BYTES_MAX)
    except BystanderError as error:
        if error.code != "file_too_large":
            raise
        detail = f"A picture may have at most {PICTURE_BYTES_MAX} bytes."
        raise caller_error("picture_too_large", detail, status=413) from None
    said = await _decoded(spool.path(file))
    if said is None:
        raise _invalid("This is no JPEG or PNG picture that can be shown, or it has too many pixels.")
    format_, width, height = said
    if min(width, height) < SIDE_PIXELS_MIN:
        raise _invalid(f"A picture has at least {SIDE_PIXELS_MIN} pixels on each side.")
    content_type, extension = _TYPES[format_]
    return Picture(content_type, extension, size, width, height)


async def _decoded(file: Path) -> tuple[str, int, int] | None:
    """Format, width and height, by a process of its own; None where it holds no such picture."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(_DECODER), str(file), str(PICTURE_PIXELS_MAX)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(DECODING_S_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        return None
    format_, width, height = output.decode().split()
    return format_, int(width), int(height)


def _invalid(detail: str) -> BystanderError:
    return caller_error("picture_invalid", detail, status=422)
