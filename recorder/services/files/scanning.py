"""The scan of a file by the operator's own program: good, not good, or no answer."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault

SCAN_FAILED = "scan_failed"
GOOD, BAD = 0, 1  # exit codes, as clamscan and clamdscan have them; any other is no answer
OUTPUT_BYTES_LOGGED_MAX = 500

_log = logging.getLogger(__name__)


class Scanner:
    """Runs `command` with a file's path after its arguments."""

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        self._command = command
        self._timeout_s = timeout_s

    async def is_good(self, file: Path) -> bool:
        """Whether people may have it; scan_failed (503) where the program does not say."""
        if not self._command:
            return True
        code, output = await self._run(file)
        said = output[-OUTPUT_BYTES_LOGGED_MAX:].decode(errors="replace").strip()
        if code == BAD:
            _log.warning("a file was refused by the scanner", extra={"file": file.name, "said": said})
        elif code != GOOD:
            _log.error("the scanner gave no answer", extra={"file": file.name, "code": code, "said": said})
            raise _scan_failed(f"it ended with code {code}")
        return code == GOOD

    async def _run(self, file: Path) -> tuple[int, bytes]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise _scan_failed(f"{self._command[0]} cannot be run ({error.strerror})") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                output, _ = await process.communicate()
        except TimeoutError:
            raise _scan_failed(f"it took longer than {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode is None:
            raise _scan_failed("its end is unknown")
        return process.returncode, output


def _scan_failed(why: str) -> BystanderError:
    return BystanderError(SCAN_FAILED, f"The scanner did not say: {why}.", fault=Fault.RESOURCE, status=503)
