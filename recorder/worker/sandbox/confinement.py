"""The walls around a worker, built from inside before its first thread: see docs/how/sandbox.md."""

import importlib.util
import logging
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from recorder.kernel.limits import MIB
from recorder.kernel.media import IceServer
from recorder.worker.sandbox import landlock, privileges, seccomp

MEMORY_BYTES_MAX = 4096 * MIB  # ten times what eight cameras need
CORES_MAX = 4  # a recording that keeps up has less than one of them busy
FILES_MAX = 4096  # each publisher has a socket for every address of the machine
CPU_MARGIN_S = 3600
DNS_PORT = 53
TURN_PORTS = {"turn": 3478, "turns": 5349}

_SYSTEM_FILES = (  # for names of TURN servers, certificates of those over TLS, names on tiles, and local time
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/usr/share/ca-certificates",
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/zoneinfo",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/dev/null",
    "/dev/urandom",
)
_PACKAGES = ("recorder", "media", "storage")
_OF_PACKAGES = ("site-packages", "dist-packages")  # also those that a .pth file names

_log = logging.getLogger(__name__)


def confine(
    directory: Path,
    *,
    user: str,
    duration_s_max: float,
    ice_servers: Sequence[IceServer],
    listens: bool = False,
) -> list[str]:
    """Build the walls; return those that stand. `directory` alone can be written to from then on.

    `listens`: whether media may come by TCP.

    To be called before the first thread. What this kernel or this account cannot do is left out, and said.
    """
    code = _code()
    ports = tcp_ports(ice_servers)
    walls = ["environment"]
    privileges.limit(
        memory_bytes=MEMORY_BYTES_MAX,
        cpu_s=round(duration_s_max + CPU_MARGIN_S) * CORES_MAX,
        files=FILES_MAX,
    )
    walls.append("limits")
    if privileges.become(user, directory, code):
        walls.append("user")
    if privileges.drop_capabilities():
        walls.append("capabilities")
    privileges.gain_none()
    walls.append("no_new_privs")
    read = (*code, *map(Path, _SYSTEM_FILES))
    try:
        if version := landlock.restrict(write=directory, read=read, tcp_ports=ports, listens=listens):
            walls.append(f"landlock:{version}")
        if seccomp.restrict(pid=os.getpid(), tcp=bool(ports) or listens):
            walls.append("seccomp")
    except OSError as error:  # a recording without one wall is better than none; operators see which stand
        _log.error("a wall could not be built", extra={"reason": str(error)})
    _log.info("confined", extra={"walls": ",".join(walls)})
    return walls


def tcp_ports(ice_servers: Sequence[IceServer]) -> list[int]:
    """Where TCP goes to: the TURN servers that are reached by it, and then the name servers; pure."""
    ports = {_port(url) for server in ice_servers for url in server.urls if _is_tcp(url)}
    return sorted({*ports, DNS_PORT}) if ports else []


def _is_tcp(url: str) -> bool:
    return url.startswith("turns:") or (url.startswith("turn:") and "transport=tcp" in url)


def _port(url: str) -> int:
    scheme, _, rest = url.partition(":")
    _, separator, port = rest.partition("?")[0].rpartition(":")
    return int(port) if separator and port.isdigit() else TURN_PORTS[scheme]


def _code() -> tuple[Path, ...]:
    """What Python may still import, and codecs load: the standard library, its packages, and our own."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    places = {Path(path).resolve() for name in names if (path := sysconfig.get_path(name))}
    places |= {Path(path).resolve() for path in sys.path if Path(path).name in _OF_PACKAGES}
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None:
            places.update(Path(path).resolve() for path in spec.submodule_search_locations or ())
    return tuple(sorted(places))
