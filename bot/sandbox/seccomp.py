"""Owns the filter of system calls in a box: no socket families beside the usual, no kernel machinery."""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _FIRST, _THIRD = 0, 4, 16, 32  # offsets into struct seccomp_data
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_X32 = 0x40000000
_AF_NETLINK, _NETLINK_ROUTE = 16, 0
# A network namespace does not close the others: AF_VSOCK reaches the host of a virtual machine.
_FAMILIES = (1, 2, 10)  # unix, IPv4, IPv6


@dataclass(frozen=True, slots=True)
class _Machine:
    arch: int
    socket: int
    refused: tuple[int, ...]


_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)  # io_uring and the newer mount calls
_MACHINES = {
    # keys, bpf, perf, userfaultfd, mounts, modules, kexec, swap, reboot, setns, handles, accounting, quota
    "x86_64": _Machine(
        0xC000003E,
        41,
        (
            248,
            249,
            250,
            321,
            298,
            323,
            165,
            166,
            155,
            175,
            176,
            313,
            246,
            320,
            167,
            168,
            169,
            308,
            304,
            163,
            179,
        ),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        198,
        (217, 218, 219, 280, 241, 282, 40, 39, 41, 105, 106, 273, 104, 294, 224, 225, 142, 268, 265, 89, 60),
    ),
}


def program() -> bytes | None:
    """Give the filter as bubblewrap reads it; None for a machine whose call numbers are not known here."""
    machine = _MACHINES.get(platform.machine())
    return _compile(machine) if machine is not None else None


def _compile(machine: _Machine) -> bytes:
    """Refused calls do not exist (ENOSYS), so that programs take their other way; families are unsupported."""
    missing, unsupported = _ERRNO | errno.ENOSYS, _ERRNO | errno.EAFNOSUPPORT
    lines = [
        _line(_LOAD, _ARCH),
        _line(_EQUAL, machine.arch, 1, 0),
        _line(_RETURN, missing),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, 0, 1),
        _line(_RETURN, missing),
    ]
    for number in (*machine.refused, *_EVERYWHERE):
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, missing)]
    lines += [_line(_EQUAL, machine.socket, 1, 0), _line(_RETURN, _ALLOW), _line(_LOAD, _FIRST)]
    for family in _FAMILIES:
        lines += [_line(_EQUAL, family, 0, 1), _line(_RETURN, _ALLOW)]
    lines += [
        _line(_EQUAL, _AF_NETLINK, 1, 0),
        _line(_RETURN, unsupported),
        _line(_LOAD, _THIRD),
        _line(_EQUAL, _NETLINK_ROUTE, 0, 1),
        _line(_RETURN, _ALLOW),
        _line(_RETURN, unsupported),
    ]
    return b"".join(lines)


def _line(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
