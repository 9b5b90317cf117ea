"""Another process, watched and signalled through a pidfd: no polling, no parenthood, no reused number."""

import asyncio
import os
import signal


class ProcessWatch:
    """A process that this server may not have started itself (a restarted server adopts its predecessor's).

    `died` is set when the process has ended. Event loop only.
    """

    def __init__(self, pid: int) -> None:
        """ProcessLookupError when there is no such process."""
        self.pid = pid
        self.died = asyncio.Event()
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_death)

    def __repr__(self) -> str:
        return f"<ProcessWatch {self.pid} {'dead' if self.died.is_set() else 'alive'}>"

    def send(self, number: signal.Signals) -> None:
        """Signal the process; nothing happens when it is gone."""
        if self._pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            self._on_death()

    def close(self) -> None:
        """Watch no longer. May be called twice."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_death(self) -> None:
        self.close()
        self.died.set()
