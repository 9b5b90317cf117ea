"""Pictures from strangers: JPEG or PNG by what they hold, of a bounded size, and whole."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from recorder.archive.file_spool import PREFIX, FileSpool
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.limits import MIB
from recorder.services.files.bounds.disk_room import DiskRoom
from recorder.services.files.bounds.sending import Sending

PICTURE_BYTES_MAX = 20 * MIB
PICTURE_PIXELS_MAX = 36_000_000  # what the cameras of phones make; 3840x2160 is a quarter of it
SIDE_PIXELS_MIN = 32
DECODING_S_MAX = 20.0
DECODERS_MAX = 2  # at once; each may take a core and picture_decoder.MEMORY_BYTES_MAX
DECODER_WAIT_S_MAX = 30.0  # for one of them; then it is overloaded
_DECODER = Path(__file__).with_name("picture_decoder.py")
_TYPES = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg")}


class Picture(NamedTuple):
    """What a file turned out to hold."""

    content_type: str
    extension: str
    bytes: int
    width: int
    height: int


class PictureReception:
    """Takes pictures into the spool and looks at them; one for each node."""

    def __init__(self, spool: FileSpool, room: DiskRoom) -> None:
        self._spool = spool
        self._room = room
        self._decoders = asyncio.Semaphore(DECODERS_MAX)

    async def receive(self, file: str, chunks: AsyncIterator[bytes]) -> Picture:
        """Take a picture whole; what is refused is removed again.

        413 picture_too_large, 422 picture_invalid, 408 body_too_slow, 507 disk_full, 503 overloaded.
        """
        async with self._room.borrowed(PICTURE_BYTES_MAX):
            await self._spool.create(file)
            try:
                return await self._checked(file, Sending().bounded(chunks))
            except BaseException:
                await self._spool.remove(file)
                raise

    async def _checked(self, file: str, chunks: AsyncIterator[bytes]) -> Picture:
        size = await self._spooled(file, chunks)
        async with self._decoder():
            found = await _decoded(self._spool.path(file))
        if found is None:
            raise _invalid("This is no JPEG or PNG picture that can be shown, or it has too many pixels.")
        format_, width, height = found
        if min(width, height) < SIDE_PIXELS_MIN:
            raise _invalid(f"A picture has at least {SIDE_PIXELS_MIN} pixels on each side.")
        content_type, extension = _TYPES[format_]
        return Picture(content_type, extension, size, width, height)

    async def _spooled(self, file: str, chunks: AsyncIterator[bytes]) -> int:
        check = self._room.check_left
        try:
            return await self._spool.append(file, 0, chunks, bytes_max=PICTURE_BYTES_MAX, check_room=check)
        except BystanderError as error:
            if error.code != "file_too_large":
                raise
            detail = f"A picture may have at most {PICTURE_BYTES_MAX} bytes."
            raise caller_error("picture_too_large", detail, status=413) from None

    @asynccontextmanager
    async def _decoder(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(DECODER_WAIT_S_MAX):
                await self._decoders.acquire()
        except TimeoutError:
            raise _overloaded() from None
        try:
            yield
        finally:
            self._decoders.release()


def scratch_id() -> str:
    """A name in the spool for what is no file of a conversation."""
    return new_id(PREFIX)


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


def _overloaded() -> BystanderError:
    detail = "Too many pictures are being looked at."
    return BystanderError("overloaded", detail, fault=Fault.RESOURCE, status=503)
