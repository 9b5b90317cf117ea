"""A small disk that a test mounts and takes away again, and what makes it full."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 8 * 1024 * 1024


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A tmpfs of SIZE_BYTES; None where nobody may mount one."""
    with tempfile.TemporaryDirectory() as name:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", name]
        if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def fill(ballast: Path) -> None:
    """Take all that is left, as another process would, down to the last block."""
    with ballast.open("ab", buffering=0) as other:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    other.write(bytes(size))
            except OSError:
                continue
