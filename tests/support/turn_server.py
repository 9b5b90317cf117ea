"""coturn on loopback, with short-lived credentials by a shared secret; its log tells what it relayed."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import Certified
from tests.support.ports import free_port

START_S_MAX = 10.0
SECRET = "a secret for tests only"


@dataclass
class TurnServer:
    """A TURN server; `start` and `kill` may follow each other, the log goes on.

    `prefix` is what its program is run by, as in a network namespace.
    """

    directory: Path
    address: str = "127.0.0.1"
    secret: str = SECRET
    options: Sequence[str] = ()
    prefix: Sequence[str] = ()
    certified: Certified | None = None
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.directory / "turnserver.log"

    @property
    def url(self) -> str:
        return self.url_by("udp")

    def url_by(self, transport: str) -> str:
        """For `udp`, `tcp` or `tls`."""
        if transport == "tls":
            return f"turns:{self.address}:{self.tls_port}?transport=tcp"
        return f"turn:{self.address}:{self.port}?transport={transport}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a server that relays everything through this one."""
        return relayed_through([self])

    def allocations(self) -> list[str]:
        """The user of every allocation that was ever made."""
        allocated = r"user <([^>]*)>: incoming packet ALLOCATE processed, success"
        return re.findall(allocated, self.log.read_text())

    def refreshes(self) -> list[str]:
        """The user of every refresh that succeeded."""
        return re.findall(r"user <([^>]*)>: incoming packet REFRESH processed, success", self.log.read_text())

    def relayed_packets(self) -> dict[str, int]:
        """How many packets every user had relayed to and from them; told when their allocation ends."""
        usage = r"usage: realm=<[^>]*>, username=<([^>]+)>, rp=(\d+), rb=\d+, sp=(\d+)"
        found = re.findall(usage, self.log.read_text())
        relayed: dict[str, int] = {}
        for user, received, sent in found:
            relayed[user] = relayed.get(user, 0) + int(received) + int(sent)
        return relayed

    def start(self) -> None:
        """Run it; returns once it answers."""
        program = shutil.which("turnserver")
        if program is None:
            raise RuntimeError("coturn is one of the real parts these tests need")
        command = [*self.prefix, program, "-n", "--verbose", "--simple-log", f"--log-file={self.log}"]
        command += ["--no-cli", "--no-dtls", "--realm=test", "--allow-loopback-peers"]
        command += [f"--listening-ip={self.address}", f"--relay-ip={self.address}"]
        command += [f"--listening-port={self.port}", "--use-auth-secret"]
        command += [f"--static-auth-secret={self.secret}", *self.options]
        command += [f"--pidfile={self.directory / 'pid'}", f"--userdb={self.directory / 'db'}"]
        if self.certified is None:
            command.append("--no-tls")
        else:
            command += [f"--tls-listening-port={self.tls_port}", f"--cert={self.certified.certificate}"]
            command.append(f"--pkey={self.certified.key}")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _accepts(self)

    def kill(self) -> None:
        """End it without a word to anybody."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(START_S_MAX)
            self.process = None

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_S_MAX)
            self.process = None


def relayed_through(servers: Sequence[TurnServer], urls: Sequence[str] = ()) -> dict[str, str]:
    """Settings of a server that relays everything through these, which share one secret."""
    return {
        "BYSTANDER_CALL__ICE_TRANSPORT_POLICY": "RELAYED",
        "BYSTANDER_TURN__URLS": json.dumps(list(urls) or [server.url for server in servers]),
        "BYSTANDER_TURN__SECRET": servers[0].secret,
    }


@contextmanager
def turn_server(directory: Path, **options: object) -> Iterator[TurnServer]:
    """A running TURN server for the length of the block."""
    directory.mkdir(exist_ok=True)
    server = TurnServer(directory, **options)  # type: ignore[arg-type]
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _accepts(server: TurnServer) -> None:
    """Until its log says that it relays: one in a namespace cannot be asked from here."""
    assert server.process is not None
    began = server.log.stat().st_size if server.log.exists() else 0
    deadline = time.monotonic() + START_S_MAX
    while not (server.log.exists() and _listens(server)):
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"turnserver does not start (its log had {began} bytes)")
        time.sleep(0.05)


def _listens(server: TurnServer) -> bool:
    if server.prefix:
        probe = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
        command = [*server.prefix, "python3", "-c", probe, server.address, str(server.port)]
        return subprocess.run(command, capture_output=True).returncode == 0
    try:
        socket.create_connection((server.address, server.port), timeout=1).close()
    except OSError:
        return False
    return True
