"""Owns putting our filter of system calls round process 1 of a container, beside the runtime's own profile.

It runs alone in the container, before `inside/first.py` and in its process, so it uses Python's own library only:
`python3 -I -S confine.py FILTER FILE ARGUMENTS..`, FILTER as hexadecimal digits, `-` for none.
"""

from __future__ import annotations

import ctypes
import runpy
import sys

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_MODE_FILTER = 2
_LINE_BYTES = 8


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def confine(program: bytes) -> None:
    """Put the filter round this process and all that it starts, for good. OSError where the kernel refuses it."""
    library = ctypes.CDLL(None, use_errno=True)
    given = _Program(len(program) // _LINE_BYTES, program)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(given), 0, 0),
    ):
        if library.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


if __name__ == "__main__":
    if sys.argv[1] != "-":
        confine(bytes.fromhex(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
