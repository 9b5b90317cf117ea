"""The server's own process: what it may open, what others may read of what it writes, where it can listen."""

import errno
import ipaddress
import os
import resource
import socket
import ssl
from pathlib import Path

import psutil

from recorder.kernel.errors import caller_error

DESCRIPTORS_WANTED = 65_536  # where the hard limit is higher: each costs a little memory of the kernel's
DESCRIPTORS_RESERVED = 512  # for the database, the store's connections, spools and workers
CONNECTIONS_MIN = 64
UMASK = 0o077  # conversations are nobody else's business


def make_private() -> None:
    """Nobody else on this machine reads or writes what this process makes from now on."""
    os.umask(UMASK)


def raise_descriptor_limit() -> int:
    """Raise the soft limit as far as the hard one goes; how many descriptors may be open then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def connections_within(wanted: int, descriptors: int) -> int:
    """How many connections may be open so that the store and the workers find descriptors. Pure."""
    reserved = min(DESCRIPTORS_RESERVED, descriptors // 2)
    return max(CONNECTIONS_MIN, min(wanted, descriptors - reserved))


def check_bind_host(host: str | None) -> None:
    """Raise BystanderError invalid_settings unless this machine has the address that media is to use."""
    if host is not None:
        _check_address("call.bind_host", host)


def check_interfaces(interfaces: list[str]) -> None:
    """Likewise of names and addresses; a network may be empty now and have addresses later."""
    for entry in interfaces:
        if "/" in entry:
            continue
        if _is_address(entry):
            _check_address("call.interfaces", entry)
        elif entry not in psutil.net_if_addrs():
            raise caller_error(
                "invalid_settings", f"call.interfaces: {entry!r}: this machine has no such one"
            )


def check_certificates(file: str | None) -> None:
    """Raise BystanderError invalid_settings unless certificates can be read from there."""
    if file is None:
        return
    try:
        ssl.create_default_context(cadata=Path(file).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "holds no certificates"
        raise caller_error("invalid_settings", f"turn.ca_file: {file!r}: {reason}") from None


def _is_address(entry: str) -> bool:
    try:
        ipaddress.ip_address(entry)
    except ValueError:
        return False
    return True


def _check_address(key: str, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        reason = "this machine has no such address" if error.errno == errno.EADDRNOTAVAIL else error.strerror
        raise caller_error("invalid_settings", f"{key}: {host!r}: {reason}") from None
