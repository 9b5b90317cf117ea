"""Memory of this process, also where it may open no file any more."""

import os
import resource


class OwnMemory:
    """Reads /proc/self/statm (proc(5)), which it opened when it could."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident_bytes(self) -> int:
        """How much of it is in memory now."""
        return int(os.pread(self._statm, 256, 0).split()[1]) * resource.getpagesize()
