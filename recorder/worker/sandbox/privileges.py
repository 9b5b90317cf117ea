"""Privileges that a worker gives up before it reads the first byte of a stranger's media."""

import ctypes
import os
import pwd
import resource
from pathlib import Path

from recorder.worker.sandbox.system_calls import (
    CAPSET,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    call,
    machine,
    prctl,
)

CAPABILITIES = 64  # more than there are; those beyond the last are refused
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def gain_none() -> None:
    """Never gain a privilege by a program again, leave no core, and let no equal look into this process."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)


def drop_capabilities() -> bool:
    """Give up all capabilities; False where they could not be."""
    for capability in range(CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # one that this kernel does not know, or we may not drop: then we have none
            continue
    try:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        none = (ctypes.c_uint32 * 6)()
        header = _Header(_CAPABILITY_VERSION_3, 0)
        call(CAPSET[machine()], ctypes.byref(header), ctypes.byref(none))
    except (OSError, KeyError):
        return False
    return True


def become(user: str, directory: Path, code: tuple[Path, ...]) -> bool:
    """Become another user, who owns `directory` and what is in it from then on; only root can.

    False where it cannot be: no such user, or one who could not read `code`.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return False
    if os.geteuid() != 0 or account.pw_uid == 0 or not _can_read(account, code):
        return False
    for path in (directory, *directory.iterdir()):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    return True


def limit(*, memory_bytes: int, cpu_s: int, files: int) -> None:
    """Bound what this process may ever take of the machine."""
    _at_most(resource.RLIMIT_DATA, memory_bytes)
    _at_most(resource.RLIMIT_CPU, cpu_s)
    _at_most(resource.RLIMIT_NOFILE, files)
    _at_most(resource.RLIMIT_CORE, 0)


def _can_read(account: pwd.struct_passwd, code: tuple[Path, ...]) -> bool:
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        return all(os.access(path, os.R_OK, effective_ids=True) for path in code if path.exists())
    except PermissionError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)


def _at_most(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))
