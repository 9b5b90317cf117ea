"""Landlock (linux/landlock.h): a process gives up all files but some, TCP, and signals to others.

What a kernel does not know is left out: version 1 (Linux 5.13) knows files, 4 (6.7) TCP, 6 (6.12) signals and
abstract sockets.
"""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from recorder.worker.sandbox.system_calls import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
    call,
)

VERSION_OF_TCP, VERSION_OF_SCOPES = 4, 6

_CREATE_RULESET_VERSION = 1
_RULE_PATH, _RULE_PORT = 1, 2
_READ_FILE, _READ_DIR, _WRITE_FILE, _REMOVE_FILE = 1 << 2, 1 << 3, 1 << 1, 1 << 5
_MAKE_FILE, _TRUNCATE = 1 << 8, 1 << 14
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by version
_ON_FILES = (1 << 0) | _WRITE_FILE | _READ_FILE | _TRUNCATE | (1 << 15)  # what a rule for one file may name
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """What this kernel knows; 0: nothing, or it is switched off."""
    try:
        return call(
            LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)
        )
    except OSError:
        return 0


def restrict(*, write: Path, read: Iterable[Path], tcp_ports: Iterable[int], listens: bool = False) -> int:
    """Give up everything else, for ever, for this thread and those that it starts; returns the version.

    Files may be made, written and removed in `write`, read at or below `read`; from version 4 on TCP goes to
    `tcp_ports` alone, and is listened for only where it `listens`. 0 where there is no Landlock; OSError
    where it fails. Needs no_new_privs.
    """
    known = version()
    if known == 0:
        return 0
    handled = _FILE_RIGHTS[max(since for since in _FILE_RIGHTS if since <= known)]
    rules = _Ruleset(
        handled,
        (_CONNECT_TCP if listens else _BIND_TCP | _CONNECT_TCP) if known >= VERSION_OF_TCP else 0,
        _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if known >= VERSION_OF_SCOPES else 0,
    )
    size = 8 if known < VERSION_OF_TCP else 16 if known < VERSION_OF_SCOPES else 24
    ruleset = call(LANDLOCK_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        own = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
        _allow_path(ruleset, write, own & handled)
        for path in read:
            with suppress(OSError):  # what is not there, or not for this user, cannot be read anyway
                _allow_path(ruleset, path, (_READ_FILE | _READ_DIR) & handled)
        for port in tcp_ports if known >= VERSION_OF_TCP else ():
            _add(ruleset, _RULE_PORT, _PortRule(_CONNECT_TCP, port))
        call(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return known


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if path.is_dir() else rights & _ON_FILES
        _add(ruleset, _RULE_PATH, _PathRule(allowed, parent))
    finally:
        os.close(parent)


def _add(ruleset: int, kind: int, rule: ctypes.Structure) -> None:
    call(LANDLOCK_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(kind), ctypes.byref(rule), ctypes.c_uint32(0))
