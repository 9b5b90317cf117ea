"""coturn on loopback, with short-lived credentials by a shared secret; its log tells what it relayed."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.s3_servers import free_port

START_S_MAX = 10.0


@dataclass(frozen=True)
class TurnServer:
    """A running TURN server on 127.0.0.1."""

    port: int
    secret: str
    log: Path

    @property
    def url(self) -> str:
        return f"turn:127.0.0.1:{self.port}?transport=udp"

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a server that relays everything through this one."""
        return {
            "BYSTANDER_CALL__ICE_TRANSPORT_POLICY": "RELAYED",
            "BYSTANDER_TURN__URLS": f'["{self.url}"]',
            "BYSTANDER_TURN__SECRET": self.secret,
        }

    def allocations(self) -> list[str]:
        """The user of every allocation that was ever made."""
        allocated = r"user <([^>]*)>: incoming packet ALLOCATE processed, success"
        return re.findall(allocated, self.log.read_text())

    def relayed_packets(self) -> dict[str, int]:
        """How many packets every user had relayed to and from them; told when their allocation ends."""
        usage = r"usage: realm=<[^>]*>, username=<([^>]+)>, rp=(\d+), rb=\d+, sp=(\d+)"
        found = re.findall(usage, self.log.read_text())
        relayed: dict[str, int] = {}
        for user, received, sent in found:
            relayed[user] = relayed.get(user, 0) + int(received) + int(sent)
        return relayed


@contextmanager
def turn_server(directory: Path, *, secret: str = "a secret for tests only") -> Iterator[TurnServer]:
    """`turnserver` with use-auth-secret for the length of the block."""
    program = shutil.which("turnserver")
    if program is None:
        raise RuntimeError("coturn is one of the real parts these tests need")
    port, log = free_port(), directory / "turnserver.log"
    command = [program, "-n", "--verbose", "--simple-log", f"--log-file={log}"]
    command += ["--no-cli", "--no-tls", "--no-dtls", "--realm=test", "--allow-loopback-peers"]
    command += ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}"]
    command += ["--use-auth-secret", f"--static-auth-secret={secret}"]
    command += [f"--pidfile={directory / 'pid'}", f"--userdb={directory / 'db'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _accepts(port, process)
        yield TurnServer(port, secret, log)
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def _accepts(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("turnserver does not start") from None
            time.sleep(0.05)
        else:
            return
