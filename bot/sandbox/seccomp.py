"""Owns the filter of system calls in a box: no socket families beside the usual, no kernel machinery, no namespaces."""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

from bot.errors import SandboxError

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4  # offsets into struct seccomp_data
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_X32 = 0x40000000
# A network namespace does not close the others: AF_VSOCK reaches the host of a virtual machine, AF_ALG much of the kernel.
_FAMILIES = (1, 2, 10)  # unix, IPv4, IPv6
# Of netlink only the protocol that lists the box's own interfaces, where changing takes a capability: without it
# getifaddrs() fails whatever the error is, and with it Node's `os.networkInterfaces()` (tried with EAFNOSUPPORT,
# EPROTONOSUPPORT, ENOSYS, EPERM and EACCES on Node 20), which servers for development and tests call.
_NETLINK, _NETLINK_ROUTE = 16, 0
# CLONE_NEW: mount, cgroup, uts, ipc, user, pid, net; time stands where clone(2) has the signal of the end.
_NAMESPACES = 0x7E020000
_NEW_TIME = 0x80
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into a terminal for whoever reads it


@dataclass(frozen=True, slots=True)
class _Machine:
    arch: int
    column: int  # of `_REFUSED`
    socket: int
    clone: int
    unshare: int
    ioctl: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0, socket=41, clone=56, unshare=272, ioctl=16),
    "aarch64": _Machine(0xC00000B7, 1, socket=198, clone=220, unshare=97, ioctl=29),
}
_REFUSED = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "clone3": (435, 435),  # its flags lie in memory, where a filter cannot look; all fall back to clone
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "lookup_dcookie": (212, 18),
}


def program(name: str = "") -> bytes:
    """Give the filter as bubblewrap reads it; SandboxError for a machine whose call numbers are not known here."""
    name = name or platform.machine()
    machine = _MACHINES.get(name)
    if machine is None:
        known = ", ".join(_MACHINES)
        raise SandboxError(
            f"no filter of system calls is known for {name or 'this machine'}, only for {known}"
        )
    return _compile(machine)


def _compile(machine: _Machine) -> bytes:
    """Refused calls do not exist (ENOSYS), so that programs take their other way; families are unsupported."""
    missing, refused = _ERRNO | errno.ENOSYS, _ERRNO | errno.EPERM
    lines = [
        _line(_LOAD, _ARCH),
        _line(_EQUAL, machine.arch, 1, 0),
        _line(_RETURN, missing),  # 32 bit programs have another table of calls
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, 0, 1),
        _line(_RETURN, missing),
    ]
    for numbers in _REFUSED.values():
        lines += [_line(_EQUAL, numbers[machine.column], 0, 1), _line(_RETURN, missing)]
    lines += _call(machine.clone, 0, [_line(_ANY_BIT, _NAMESPACES, 0, 1), _line(_RETURN, refused)])
    lines += _call(
        machine.unshare, 0, [_line(_ANY_BIT, _NAMESPACES | _NEW_TIME, 0, 1), _line(_RETURN, refused)]
    )
    typing = [_line(_EQUAL, number, 0, 1) + _line(_RETURN, refused) for number in _TERMINAL]
    lines += _call(machine.ioctl, 1, typing)
    usual = [_line(_EQUAL, family, 0, 1) + _line(_RETURN, _ALLOW) for family in _FAMILIES]
    listing = [_line(_EQUAL, _NETLINK, 0, 3), _line(_LOAD, 32), _line(_EQUAL, _NETLINK_ROUTE, 0, 1)]
    unsupported = _line(_RETURN, _ERRNO | errno.EAFNOSUPPORT)
    lines += _call(machine.socket, 0, [*usual, *listing, _line(_RETURN, _ALLOW), unsupported])
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _call(number: int, argument: int, checks: list[bytes]) -> list[bytes]:
    """Check an argument (its lower half) of one call, and allow it where no check says otherwise."""
    checks = [_line(_LOAD, 16 + 8 * argument), *checks, _line(_RETURN, _ALLOW)]
    body = b"".join(checks)
    return [_line(_EQUAL, number, 0, len(body) // 8), body]


def _line(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
