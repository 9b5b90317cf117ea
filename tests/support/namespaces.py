"""Network namespaces with links between them, made for a test and removed after it; needs root."""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CAPTURE_S_MAX = 10.0
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nft", "tcpdump"))),
    reason="namespaces need root, iproute2, nftables and tcpdump",
)
_numbers = itertools.count()


def run(*command: str, check: bool = True) -> str:
    """What a command says; RuntimeError with its complaint where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


@dataclass
class Namespace:
    """One network stack."""

    name: str
    links: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> list[str]:
        """What runs a command in it."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str) -> str:
        return run(*self.prefix, *command)

    def load(self, rules: str, directory: Path) -> None:
        """Take these rules of nftables."""
        file = directory / f"{self.name}.nft"
        file.write_text(rules)
        self.run("nft", "--file", str(file))

    def without_ipv6(self) -> None:
        """No addresses of IPv6, and none of the packets by which neighbours find each other."""
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")

    def counted(self, counter: str) -> int:
        """Packets that a counter of the table `inet bystander` has seen."""
        told = json.loads(self.run("nft", "--json", "list", "counter", "inet", "bystander", counter))
        return next(int(each["counter"]["packets"]) for each in told["nftables"] if "counter" in each)


class Namespaces:
    """Those of one test; use `namespaces`."""

    def __init__(self) -> None:
        self._made: list[Namespace] = []

    def add(self, name: str) -> Namespace:
        """A new one, with nothing but its loopback."""
        made = Namespace(f"bystander-{os.getpid()}-{next(_numbers)}-{name}")
        run("ip", "netns", "add", made.name)
        self._made.append(made)
        made.run("ip", "link", "set", "lo", "up")
        return made

    def link(self, one: Namespace, other: Namespace, network: str, *, six: bool = False) -> tuple[str, str]:
        """Join two by a cable; their addresses, .1 and .2 of `network` ("10.77.1", or "fd00:77:1:")."""
        first, second = (f"bs{os.getpid() % 100_000}n{next(_numbers)}" for _ in range(2))
        ends = ((one, first), (other, second))
        run(
            "ip",
            "link",
            "add",
            first,
            "netns",
            one.name,
            "type",
            "veth",
            "peer",
            "name",
            second,
            "netns",
            other.name,
        )
        addresses = []
        for number, (where, end) in enumerate(ends, start=1):
            address = f"{network}:{number}" if six else f"{network}.{number}"
            options = ["nodad"] if six else []
            where.run("ip", "addr", "add", f"{address}/{64 if six else 24}", "dev", end, *options)
            where.run("ip", "link", "set", end, "up")
            where.links.append(end)
            addresses.append(address)
        return addresses[0], addresses[1]

    def close(self) -> None:
        for made in self._made:
            run("ip", "netns", "del", made.name, check=False)


@contextmanager
def namespaces() -> Iterator[Namespaces]:
    """Namespaces that are gone afterwards, with their links."""
    made = Namespaces()
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Flow:
    """Packets between this namespace and one address: by which protocol, and to which of its ports."""

    protocol: str
    address: str
    port: int


@contextmanager
def captured(namespace: Namespace, file: Path, *, own: Sequence[str]) -> Iterator["Counter[Flow]"]:
    """Count every packet of the namespace by who is at its other end; filled when the block has ended.

    Packets that no address sends or gets (ARP) are left out. Of each flow the other end's port is named,
    where `own` has ours.
    """
    flows: Counter[Flow] = Counter()
    command = [*namespace.prefix, "tcpdump", "-i", "any", "-nn", "-U", "--immediate-mode", "-w", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            if process.poll() is not None:
                raise RuntimeError(f"tcpdump does not start: {line}")
        yield flows
    finally:
        time.sleep(0.5)  # what is in the kernel's ring
        process.terminate()
        process.communicate(timeout=CAPTURE_S_MAX)
    flows.update(_read(file, own))


def _read(file: Path, own: Sequence[str]) -> Iterator[Flow]:
    for line in run("tcpdump", "-nn", "-q", "-r", str(file)).splitlines():
        words = line.split()
        kind = next((word for word in words if word in ("IP", "IP6")), None)
        if kind is None:
            continue  # ARP
        at = words.index(kind)
        source, target = words[at + 1], words[at + 3].rstrip(":")
        said = " ".join(words[at + 4 :])
        protocol = next((name for name in ("UDP", "tcp", "ICMP6", "ICMP") if name in said), "other").lower()
        (here, _), (there, port) = _ends(source), _ends(target)
        if there in own and here not in own:
            there, port = _ends(source)
        yield Flow(protocol, there, port)


def _ends(word: str) -> tuple[str, int]:
    address, separator, port = word.rpartition(".")
    if separator and port.isdigit() and (address.count(".") == 3 or ":" in address):
        return address, int(port)
    return word, 0
