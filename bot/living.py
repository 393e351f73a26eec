"""Owns the look at which processes live: whose tree they belong to, and where they work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "GITWRIGHT_CHILD"  # in a child's environment: finds grandchildren that left group and session
_PROC = Path("/proc")


def kill(pids: Iterable[int]) -> None:
    """Kill processes, each by its id; those that are gone or out of reach are left alone."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def tree(leader: int, mark: str, known: set[tuple[int, int]]) -> set[int]:
    """Find living processes of a tree; `known` remembers pid and start time of those seen once."""
    table = {stat.pid: stat for stat in _processes()}
    found = {
        stat.pid
        for stat in table.values()
        if leader in (stat.pid, stat.group, stat.session)
        or (stat.pid, stat.start) in known
        or _bears(stat.pid, f"{mark}\0")
    }
    return _grown(table, found, known)


def of_run(run: str, known: set[tuple[int, int]]) -> set[int]:
    """Find living children of a bot's process, whose marks begin with `run`, and what belongs to them."""
    table = {stat.pid: stat for stat in _processes()}
    found = {
        stat.pid for stat in table.values() if (stat.pid, stat.start) in known or _bears(stat.pid, f"{run}.")
    }
    sessions = {table[pid].session for pid in found} - {os.getsid(0)}
    found |= {stat.pid for stat in table.values() if stat.session in sessions}
    return _grown(table, found, known)


def _grown(table: Mapping[int, _Stat], found: set[int], known: set[tuple[int, int]]) -> set[int]:
    """Add all descendants, and remember everybody."""
    grown = True
    while grown:
        more = {stat.pid for stat in table.values() if stat.parent in found} - found
        found |= more
        grown = bool(more)
    found.discard(os.getpid())
    known |= {(pid, table[pid].start) for pid in found}
    return found


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    parent: int
    group: int
    session: int
    start: int  # clock ticks after boot: with the pid, names a process for ever


def _processes() -> list[_Stat]:
    """List the processes that are not zombies; empty where there is no /proc."""
    found = []
    for folder in _PROC.iterdir() if _PROC.is_dir() else ():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it ended while we looked
            fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            if fields[0] not in "ZX":
                numbers = (int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))
                found.append(_Stat(int(folder.name), *numbers))
    return found


def _bears(pid: int, start_of_mark: str) -> bool:
    try:
        environment = b"\0" + (_PROC / str(pid) / "environ").read_bytes()
        return f"\0{MARK}={start_of_mark}".encode() in environment
    except OSError:
        return False


def in_pid_namespace(namespace: str) -> list[int]:
    """List living processes of a PID namespace, named as the link /proc/<pid>/ns/pid reads."""
    found = []
    for stat in _processes():
        with suppress(OSError):
            if (_PROC / str(stat.pid) / "ns" / "pid").readlink() == Path(namespace):
                found.append(stat.pid)
    return sorted(found)


def working_in(folder: Path) -> list[int]:
    """List living processes whose working directory lies in `folder`."""
    found = []
    for stat in _processes():
        with suppress(OSError):
            # A removed folder reads as "<path> (deleted)", which still begins with it.
            where = (_PROC / str(stat.pid) / "cwd").readlink()
            if where.is_relative_to(folder) or str(where).startswith(f"{folder} (deleted)"):
                found.append(stat.pid)
    return sorted(found)
