"""Owns trying the ways out of a box: their table, what they are made of, and the trying itself.

A program with `ways_*.py`, sent over standard input (`sending.py`): Python's own library and each other is all they use, and
what there is to reach is in the variable FACTS. It runs in boxes, and as a plain child without one, where each probe must
get through; so each is harmless there: it opens and does not write, or does it in namespaces of its own. A line for each:
its name, and how it ended.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 1 << 17, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30
SECONDS = 60.0  # for one probe
QUICK = 30.0  # for a connection; where none leads out of a box, that is said at once
INHERITED = [number for number in range(3, 1000) if os.path.exists(f"/proc/self/fd/{number}")]
MOUNTS = "mount namespace: not shown"
CALLS = "system call filter"
F: dict[str, Any] = {}  # what there is to reach; paths, ports and process ids of the host


class Missing(Exception):  # noqa: N818 - no error: this machine has nothing to try
    """This machine has no such thing."""


@dataclass(frozen=True)
class Probe:
    """`root`: without a box only root gets through."""

    wall: str
    try_: Callable[[], object]
    root: bool = False


Try = Callable[[], object]
PROBES: dict[str, Probe] = {}


def probe(wall: str, *, root: bool = False) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Enter a function into the table: it returns something true where it got through; OSError is a wall, others are not."""

    def enter(function: Callable[[], object]) -> Callable[[], object]:
        PROBES[function.__name__.strip("_").replace("_", " ")] = Probe(wall, function, root)
        return function

    return enter


def call(x86: int, arm: int, *args: object) -> int:
    """Make a system call; OSError where it is refused."""
    # As long numbers: of short ones the upper half would be whatever was there.
    whole = (ctypes.c_long(each) if isinstance(each, int) else each for each in args)
    done = int(LIBC.syscall(ctypes.c_long(arm if ARM else x86), *whole))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def opens(path: str | Path, flags: int = os.O_RDONLY) -> bool:
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
    return True


def there(path: str) -> bool:
    """Say that a machine without it has nothing to try; in a box its being away may be the wall."""
    if not F["inside"] and not os.path.exists(path):
        raise Missing(f"no {path}")
    return True


def reads(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1))


def own(spaces: int) -> None:
    """Go into namespaces of our own, or stay where that is refused: the next call is tried all the same."""
    with suppress(OSError):
        call(272, 97, NEWUSER | spaces)
    if not F["inside"] and os.readlink("/proc/self/ns/user") == F["user"]:
        raise Missing("no user namespaces")  # what follows would change the machine


def made(path: str) -> bool:
    """Make a file and remove it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return True


def tried(one: Probe) -> str:
    """Try in a process of its own, and say how that ended."""
    read_end, write_end = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(read_end)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(SECONDS))
        try:
            done = one.try_()
            said = done if isinstance(done, str) else "through" if done else "stopped"
        except Missing as error:
            said = f"missing: {error}"
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0)
            said = f"stopped: {name}" if name else f"broken: {error!r}"
        except Exception as error:  # whatever it is, it is no wall
            said = f"broken: {error!r}"
        os.write(write_end, said.encode()[:200])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        said = answer.read(200).decode()
    _, status = os.waitpid(pid, 0)
    if not said:  # only the filter of system calls ends who is refused
        said = "stopped: SIGSYS" if status & 127 == signal.SIGSYS else f"broken: ended with {status}"
    return said


def main() -> None:
    """Try all."""
    F.update(json.loads(os.environ.pop("FACTS")), parent=os.getppid())
    for name, one in PROBES.items():
        sys.stdout.write(json.dumps([name, tried(one)]) + "\n")
    sys.stdout.flush()
