"""The machine under a server: its clock, disk, descriptors, buffers, memory, and what Python brings along.

Everything here blocks for some milliseconds; what was read is judged by pure functions.
"""

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

import psutil

from recorder.doctor.finding import Finding, failed, warning, well
from recorder.kernel.limits import MIB
from recorder.node.process import DESCRIPTORS_RESERVED

PYTHON_MIN = (3, 11)
RECEIVE_BUFFER_BYTES_MIN = 200 * 1024  # Linux's own default: 0.1 s of a busy publisher, several times
MEMORY_BYTES_MIN = 1024 * MIB
RECORDING_BYTES = 256 * MIB  # of a call of two: docs/cost.md
PORTS_MIN = 4_096  # each publisher of each recording has some
FREE_FACTOR = 8  # so many times what stops recordings, or it is called little
_TIME_ERROR = 5  # adjtimex(2): nobody keeps this clock
_TIMEX_BYTES = 512  # more than struct timex has on any machine
_VOLATILE = ("tmpfs", "ramfs")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")


def python() -> Finding:
    """Its version, and whether the codecs are there that recordings need."""
    found = platform.python_version()
    if sys.version_info[:2] < PYTHON_MIN:
        return failed(
            "python", f"Python {found}", "Install Python 3.11 or newer, and run `make setup` again."
        )
    try:
        import av

        missing = [name for name in ("libx264", "aac", "opus") if name not in av.codecs_available]
    except ImportError as error:
        return failed("python", f"PyAV cannot be imported: {error}", "Run `make setup-runtime` again.")
    if missing:
        remedy = (
            "Install PyAV from its wheel (`pip install --only-binary av av`), not against a system's FFmpeg."
        )
        return failed("python", f"PyAV {av.__version__} has no {', '.join(missing)}", remedy)
    return well("python", f"Python {found}, PyAV {av.__version__} with x264, AAC and Opus")


def clock() -> Finding:
    """Whether somebody keeps the machine's clock."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return judged_clock(state)


def judged_clock(state: int) -> Finding:
    """By what adjtimex(2) returns; pure."""
    if state == _TIME_ERROR:
        remedy = (
            "Run chrony or systemd-timesyncd: stores refuse requests of a clock that is wrong by minutes."
        )
        return warning("clock", "nobody synchronises this machine's clock", remedy)
    if state < 0:
        return warning("clock", "the kernel does not say whether the clock is kept", "Look at `timedatectl`.")
    return well("clock", "synchronised")


def disk(data: Path, *, free_bytes_min: int) -> Finding:
    """Room for spools, on a disk that keeps them."""
    existing = next(place for place in (data, *data.parents) if place.exists())
    facts = os.statvfs(existing)
    kind = _file_system_of(existing)
    return judged_disk(existing, facts.f_bavail * facts.f_frsize, kind, free_bytes_min=free_bytes_min)


def judged_disk(place: Path, free: int, kind: str, *, free_bytes_min: int) -> Finding:
    """By the room and the kind of file system; pure."""
    said = f"{free // MIB} MiB free at {place} ({kind})"
    if free < free_bytes_min:
        return failed("disk", said, "Make room, or put server.data_dir on another disk: no recording begins.")
    if kind in _VOLATILE:
        return warning("disk", said, "Put server.data_dir on a disk: a restart of the machine loses spools.")
    if kind in _REMOTE:
        return warning("disk", said, "Put server.data_dir on a local disk: each second is synced to it.")
    if free < FREE_FACTOR * free_bytes_min:
        return warning("disk", said, "Make room: some hours without the store would fill it.")
    return well("disk", said)


def descriptors(connections_max: int) -> Finding:
    """How many files and sockets the server may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judged_descriptors(None if hard == resource.RLIM_INFINITY else hard, connections_max)


def judged_descriptors(hard: int | None, connections_max: int) -> Finding:
    """By the hard limit; pure."""
    wanted = connections_max + DESCRIPTORS_RESERVED
    if hard is not None and hard < wanted:
        detail = f"at most {hard} open files; limits.connections_max and the rest want {wanted}"
        return warning(
            "ulimit", detail, "Set LimitNOFILE=65536 in the unit, or `ulimit -Hn` for the account."
        )
    return well("ulimit", f"{'any number of' if hard is None else hard} open files")


def buffers() -> Finding:
    """Room for datagrams that wait, and whether some were thrown away for want of it."""
    size = int(Path("/proc/sys/net/core/rmem_default").read_text())
    return judged_buffers(size, _thrown_away(Path("/proc/net/snmp").read_text()))


def judged_buffers(size: int, thrown_away: int) -> Finding:
    """By the default size and the count of RcvbufErrors; pure."""
    remedy = "sysctl -w net.core.rmem_default=1048576, and keep it in /etc/sysctl.d/."
    if size < RECEIVE_BUFFER_BYTES_MIN:
        return warning("buffers", f"sockets hold {size} bytes of datagrams", remedy)
    if thrown_away:
        detail = f"the kernel threw {thrown_away} datagrams away since it was started: buffers were full"
        return warning("buffers", detail, remedy)
    return well("buffers", f"sockets hold {size} bytes of datagrams, none was thrown away")


def memory() -> Finding:
    """What is left for workers."""
    return judged_memory(psutil.virtual_memory().available, os.cpu_count() or 1)


def judged_memory(available: int, cores: int) -> Finding:
    """By what is available; pure."""
    said = f"{available // MIB} MiB available, {cores} processors"
    if available < MEMORY_BYTES_MIN:
        return warning("memory", said, "Give the machine more: a recording of two takes up to 256 MiB.")
    return well("memory", f"{said}: some {min(available // RECORDING_BYTES, 4 * cores)} calls of two at once")


def media_ports() -> Finding:
    """Where publishers' media comes in, which a firewall has to let through."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return judged_ports(first, last)


def judged_ports(first: int, last: int) -> Finding:
    """By the range of ports that the kernel gives away; pure."""
    if last - first + 1 < PORTS_MIN:
        remedy = 'sysctl -w net.ipv4.ip_local_port_range="32768 60999"'
        return warning("media_ports", f"media comes in at UDP {first} to {last}: too few", remedy)
    return well("media_ports", f"media comes in at UDP {first} to {last}: the firewall has to let it through")


def _thrown_away(snmp: str) -> int:
    names, values = (line.split()[1:] for line in snmp.splitlines() if line.startswith("Udp:"))
    return int(dict(zip(names, values, strict=True)).get("RcvbufErrors", 0))


def _file_system_of(place: Path) -> str:
    """The kind of what is mounted at a place, or the nearest above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    resolved = place.resolve()
    above = [(where, kind) for where, kind in mounts if resolved.is_relative_to(where)]
    return max(above, key=lambda found: len(found[0]), default=("/", "unknown"))[1]
