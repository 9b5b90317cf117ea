"""A seccomp filter (seccomp(2)): system calls that a worker has no use for are refused with EPERM.

It is a list of what is refused, since what an interpreter, libc and codecs call changes with their versions:
programs, other processes, mounts, modules, other kinds of sockets, and what else is for administrators.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator

from recorder.worker.sandbox.system_calls import PR_SET_SECCOMP, machine, prctl_pointer

_SECCOMP_MODE_FILTER = 2
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

# Names and numbers of linux/include/uapi/asm/unistd.h: x86_64, aarch64 (None: it has no such call).
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_by_handle_at": (304, 265),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "tkill": (200, 130),
}
_SOCKET, _SOCKETPAIR, _CLONE, _CLONE3 = (41, 198), (53, 199), (56, 220), 435
_SIGNALLING = ((62, 129), (234, 131))  # kill, tgkill

_CLONE_THREAD = 0x00010000
_SOCKET_KIND_MASK = 0xF
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def restrict(*, pid: int, tcp: bool) -> bool:
    """Refuse them, for ever; False on machines whose numbers are not known here. Needs no_new_privs.

    Signals may go to `pid` alone, which is to be the caller's own; `tcp`: whether stream sockets are needed.
    """
    if machine() not in _AUDIT_ARCH:
        return False
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program(machine(), pid=pid, tcp=tcp))
    buffer = ctypes.create_string_buffer(code, len(code))
    made = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl_pointer(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, made)
    return True


def program(architecture: str, *, pid: int, tcp: bool) -> list[Instruction]:
    """The filter as classic BPF; pure."""
    column = list(_AUDIT_ARCH).index(architecture)
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, _AUDIT_ARCH[architecture]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if architecture == "x86_64":
        code += [(_JUMP_IF_SET, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    code += _if_called(_CLONE3, [_refusal(errno.ENOSYS)])  # libc then takes clone, whose flags can be read
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += _if_called(number, [_refusal(errno.EPERM)])
    code += _if_called(_CLONE[column], list(_unless_bit(0, _CLONE_THREAD)))
    for signalling in _SIGNALLING:
        code += _if_called(signalling[column], list(_unless_equal(0, (pid,), errno.EPERM)))
    code += _if_called(_SOCKETPAIR[column], list(_unless_equal(0, (socket.AF_UNIX,), errno.EAFNOSUPPORT)))
    code += _if_called(_SOCKET[column], list(_socket(tcp=tcp)))
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _socket(*, tcp: bool) -> Iterator[Instruction]:
    """Internet sockets, of datagrams unless `tcp`; and netlink, by which libc lists addresses."""
    streams = (
        [(_RETURN, 0, 0, _ALLOW)]
        if tcp
        else [
            (_LOAD, 0, 0, _ARGUMENTS_AT + 8),
            (_AND, 0, 0, _SOCKET_KIND_MASK),
            (_JUMP_IF_EQUAL, 0, 1, socket.SOCK_DGRAM),
            (_RETURN, 0, 0, _ALLOW),
            _refusal(errno.EACCES),
        ]
    )
    yield (_LOAD, 0, 0, _ARGUMENTS_AT)
    yield (_JUMP_IF_EQUAL, 0, 1, socket.AF_NETLINK)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_JUMP_IF_EQUAL, 2, 0, _FAMILIES[0])
    yield (_JUMP_IF_EQUAL, 1, 0, _FAMILIES[1])
    yield _refusal(errno.EAFNOSUPPORT)
    yield from streams


def _unless_equal(argument: int, values: tuple[int, ...], number: int) -> Iterator[Instruction]:
    yield (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)
    for value in values:
        yield (_JUMP_IF_EQUAL, 0, 1, value)
        yield (_RETURN, 0, 0, _ALLOW)
    yield _refusal(number)


def _unless_bit(argument: int, bit: int) -> Iterator[Instruction]:
    yield (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)
    yield (_JUMP_IF_SET, 0, 1, bit)
    yield (_RETURN, 0, 0, _ALLOW)
    yield _refusal(errno.EPERM)


def _if_called(number: int, then: list[Instruction]) -> list[Instruction]:
    """`then` has to end with a return: what follows it is for other numbers."""
    return [(_JUMP_IF_EQUAL, 0, len(then), number), *then]


def _refusal(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)
