"""Debian's Janus on loopback, with a configuration of its own and rooms that a test names."""

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port

START_S_MAX = 20.0
LOOK_S = 0.05
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu/janus")
ROOM, LOCKED_ROOM, PIN, TOKEN = 1234, 4321, "a pin for tests", "an invitation for tests"
API_SECRET = "an API secret for tests"

_MAIN = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{plugins}/plugins"
    transports_folder = "{plugins}/transports"
    events_folder = "{plugins}/events"
    loggers_folder = "{plugins}/loggers"
    debug_level = 4
    debug_timestamps = true
    log_to_stdout = true
    {api_secret}
}}
certificates: {{}}
media: {{ ipv6 = false }}
nat: {{ nice_debug = false, ignore_mdns = true }}
plugins: {{ disable = "{disabled}" }}
transports: {{ disable = "{transports}" }}
loggers: {{ disable = "libjanus_jsonlog.so" }}
events: {{ broadcast = false }}
"""
_SOCKETS = """
general: {{ json = "plain", ws = true, ws_port = {port}, ws_ip = "127.0.0.1", wss = false }}
admin: {{ admin_ws = false }}
"""
_ROOMS = f"""
general: {{{{ }}}}
room-{ROOM}: {{{{
    description = "open", publishers = 16, bitrate = 1000000, videocodec = "vp8,h264", record = false
}}}}
room-{LOCKED_ROOM}: {{{{
    description = "closed", publishers = 16, pin = "{PIN}", videocodec = "vp8,h264", is_private = true
}}}}
"""


@dataclass
class JanusServer:
    """A Janus that can be killed, and started again on the same port."""

    port: int
    directory: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / "janus.log").read_text(errors="replace")

    def start(self) -> None:
        """Returns once it takes connections."""
        command = [str(shutil.which("janus")), "-C", str(self.directory / "janus.jcfg")]
        command += ["-F", str(self.directory)]
        with (self.directory / "janus.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(self.log[-4000:]) from None
                time.sleep(LOOK_S)
            else:
                return

    async def started(self) -> None:
        """The same, without holding up the loop."""
        await asyncio.to_thread(self.start)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(START_S_MAX)
            self.process = None


@contextmanager
def janus_server(directory: Path, *, api_secret: str | None = None) -> Iterator[JanusServer]:
    """Janus with its VideoRoom for the length of the block."""
    if shutil.which("janus") is None:
        raise RuntimeError("janus is one of the real parts these tests need")
    server = JanusServer(free_port(), directory)
    secret = f'api_secret = "{api_secret}"' if api_secret else ""
    plugins, transports = _others("plugins", "videoroom"), _others("transports", "websockets")
    (directory / "janus.jcfg").write_text(
        _MAIN.format(
            folder=directory, plugins=LIBRARIES, api_secret=secret, disabled=plugins, transports=transports
        )
    )
    (directory / "janus.transport.websockets.jcfg").write_text(_SOCKETS.format(port=server.port))
    (directory / "janus.plugin.videoroom.jcfg").write_text(_ROOMS.format())
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _others(folder: str, wanted: str) -> str:
    """Every library of a folder but one, so that it starts at once and opens nothing else."""
    found = sorted(path.name for path in (LIBRARIES / folder).glob("libjanus_*.so"))
    return ",".join(name for name in found if name != f"libjanus_{wanted}.so")
