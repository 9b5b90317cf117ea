"""The server's own process: what it may open, what others may read of what it writes, where it can listen."""

import errno
import os
import resource
import socket

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
    if host is None:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        reason = "this machine has no such address" if error.errno == errno.EADDRNOTAVAIL else error.strerror
        raise caller_error("invalid_settings", f"call.bind_host: {host!r}: {reason}") from None
