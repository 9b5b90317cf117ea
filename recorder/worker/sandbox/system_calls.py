"""System calls that Python has no function for, through libc's syscall()."""

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)

# By machine, as linux/include/uapi/asm/unistd.h numbers them; Landlock's numbers are everywhere the same.
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
CAPSET = {"x86_64": 126, "aarch64": 91}

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4


def machine() -> str:
    """The processor's family, as uname(2) calls it."""
    return platform.machine()


def call(number: int, *arguments: object) -> int:
    """Do system call `number`; OSError where it fails."""
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        _raise()
    return result


def prctl(option: int, *arguments: int) -> None:
    """Do prctl(2); OSError where it fails."""
    rest = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *rest) != 0:
        _raise()


def prctl_pointer(option: int, argument: int, structure: ctypes.Structure) -> None:
    """Do prctl(2) with a pointer in third place; OSError where it fails."""
    if _libc.prctl(option, ctypes.c_ulong(argument), ctypes.byref(structure), 0, 0) != 0:
        _raise()


def _raise() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
