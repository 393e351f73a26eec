"""Owns the ways to the host's processes, and to those that run the box."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.escape.trying import (
    INHERITED,
    PROBES,
    F,
    Probe,
    call,
    opens,
    probe,
    reads,
)

PIDS = "PID namespace: the host's processes are not there"
SERVER = "process 1 and its helpers are not dumpable"


def _of(part: str, pid: str = "victim") -> None:
    PROBES[f"/proc/host/{part}"] = Probe(PIDS, lambda: _looks(f"/proc/{F[pid]}/{part}"))


def _looks(path: str) -> object:
    part = path.rpartition("/")[2]
    if not _theirs(int(path.split("/")[2])):
        return False
    if part in {"cwd", "exe"}:
        return bool(os.readlink(path))
    if part == "fd":
        return [os.readlink(f"{path}/{name}") for name in os.listdir(path)]
    if part in {"mem", "oom_score_adj"}:
        return opens(path, os.O_RDONLY if part == "mem" else os.O_WRONLY)
    return reads(f"{path}{F['files']['host key']}" if part == "root" else path)


def _theirs(pid: int) -> bool:
    """Say whether this number is the host's process here, too, and not one of the box's own."""
    return F["victims"].encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


for each in ("environ", "cmdline", "cwd", "fd", "mem", "root", "maps", "oom_score_adj", "exe"):
    _of(each)


@probe(PIDS)
def find_host_processes() -> object:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for pid in pids:
        with suppress(OSError):
            if _theirs(pid):
                return True
    return False


@probe(PIDS)
def signal_host() -> object:
    os.kill(F["victim"], 0)
    return _theirs(F["victim"])


@probe(PIDS)
def renice_host() -> object:
    nice = os.getpriority(os.PRIO_PROCESS, F["victim"])
    os.setpriority(os.PRIO_PROCESS, F["victim"], nice)
    return _theirs(F["victim"])


@probe("PID namespace, and system call filter")
def ptrace_host() -> object:
    return call(101, 117, 0x4206, F["victim"], 0, 0) == 0  # PTRACE_SEIZE; ends with this process


@probe("PID namespace, and system call filter")
def process_vm_readv() -> object:
    address = int(Path(f"/proc/{F['victim']}/maps").read_text().split("-")[0], 16)
    room = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(room), 8)
    remote = (ctypes.c_void_p * 2)(address, 8)
    return call(310, 270, F["victim"], local, 1, remote, 1, 0)


@probe("PID namespace, and system call filter")
def pidfd_getfd() -> object:
    return call(438, 438, call(434, 434, F["victim"], 0), 0, 0) >= 0


# --- those that run the box itself; without one, the bot ---


def servers() -> Iterator[int]:
    """Name those that run the box: process 1, our minder, and whoever serves the outlets."""
    if not F["inside"]:
        yield F["victim"]
        return
    yield from (1, F["parent"])
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and b"/run/gitwright/__main__.py" in Path(f"/proc/{name}/cmdline").read_bytes():
                yield int(name)


def _server(part: str) -> None:
    PROBES[f"exec server's {part}"] = Probe(SERVER, lambda: any(map(_served(part), servers())))


def _served(part: str) -> Callable[[int], bool]:
    def look(pid: int) -> bool:
        names = [part]
        with suppress(OSError):
            if part == "fd":
                names = [f"fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
        for name in names:
            for flags in (os.O_RDONLY, os.O_WRONLY):
                with suppress(OSError):
                    return opens(f"/proc/{pid}/{name}", flags) and (
                        part != "environ" or reads(f"/proc/{pid}/{part}")
                    )
        return False

    return look


for each in ("environ", "fd", "mem", "maps"):
    _server(each)


@probe(f"{SERVER}; system call filter")
def ptrace_exec_server() -> object:
    for pid in servers():
        with suppress(OSError):
            return call(101, 117, 0x4206, pid, 0, 0) == 0
    return False


@probe("descriptors: only three are inherited")
def inherited_descriptors() -> object:
    return INHERITED


@probe("clean environment")
def inherited_environment() -> object:
    return [name for name in os.environ if name.startswith("PLANTED")]
