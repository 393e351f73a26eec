"""Owns the look at which processes live, whose tree they belong to, and where they work.

Each look reads what /proc has of every process: not for the event loop's thread. UnseenError where that cannot be read
for now, as it proves nobody dead.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot.errors import BotError

MARK = "GITWRIGHT_CHILD"  # in a child's environment: finds grandchildren that left group and session
_PROC = Path("/proc")
_BLIND = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class UnseenError(BotError):
    """Processes cannot be looked at for now, so nobody knows who lives."""


def kill(pids: Iterable[int]) -> None:
    """Kill processes, each by its id; those that are gone or out of reach are left alone."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def tree(leader: int, mark: str, known: set[tuple[int, int]], since: int = 0) -> set[int]:
    """Find living processes of a tree; `known` remembers pid and start time of those seen once.

    `since`: when its leader started, as `started` tells; who is older is looked at no closer.
    """
    table = {stat.pid: stat for stat in _processes()}
    found = {
        stat.pid
        for stat in table.values()
        if leader in (stat.pid, stat.group, stat.session)
        or (stat.pid, stat.start) in known
        or (stat.start >= since and _bears(stat.pid, f"{mark}\0"))
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
    try:
        names = [folder.name for folder in _PROC.iterdir()]
    except OSError as error:
        _seen(error)
        return []
    found = (_stat(int(name)) for name in names if name.isdigit())
    return [stat for stat in found if stat is not None]


def _stat(pid: int) -> _Stat | None:
    """Read who a process is; None for one that has ended."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError as error:
        _seen(error)
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return _Stat(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _read(path: str) -> bytes:
    with open(path, "rb", 0) as file:  # noqa: PTH123 - to make a path takes longer than to read
        return file.read()


def _seen(error: OSError) -> None:
    """Take an error for what it says of a process, that it has ended or is another's; UnseenError where it says nothing."""
    if error.errno in _BLIND:
        raise UnseenError(f"The processes cannot be looked at: {error.strerror}") from error


def _bears(pid: int, start_of_mark: str) -> bool:
    try:
        environment = b"\0" + _read(f"/proc/{pid}/environ")
    except OSError as error:
        _seen(error)
        return False
    return f"\0{MARK}={start_of_mark}".encode() in environment


def started(pid: int) -> int | None:
    """Give a process's start time in clock ticks after boot; None where it has ended, or there is no /proc."""
    stat = _stat(pid)
    return stat.start if stat is not None else None


def in_pid_namespace(namespace: str) -> list[int]:
    """List living processes of a PID namespace, named as the link /proc/<pid>/ns/pid reads."""
    found = []
    for stat in _processes():
        try:
            if Path(f"/proc/{stat.pid}/ns/pid").readlink() == Path(namespace):
                found.append(stat.pid)
        except OSError as error:
            _seen(error)
    return sorted(found)


def working_in(folder: Path, *shown: Path) -> list[int]:
    """List living processes whose working directory lies in `folder`, under whatever name they see it.

    `shown` are folders in it that a sandbox may show without it.
    """
    places = set[tuple[int, int]]()
    for each in (folder, *shown):
        with suppress(OSError):
            found = each.stat()
            places.add((found.st_dev, found.st_ino))
    return sorted(stat.pid for stat in _processes() if _within(stat.pid, folder, places))


def workers(folder: Path, *shown: Path) -> list[str]:
    """Say for people who works in `folder`, or that nobody knows; empty where nobody does."""
    try:
        return [f"process {pid} works in {folder}" for pid in working_in(folder, *shown)]
    except UnseenError as error:
        return [f"nobody knows who works in {folder}: {error}"]


def _within(pid: int, folder: Path, places: Set[tuple[int, int]]) -> bool:
    link = _PROC / str(pid) / "cwd"
    try:
        # A removed folder reads as "<path> (deleted)", which still begins with it.
        where = link.readlink()
        if where.is_relative_to(folder) or str(where).startswith(f"{folder} (deleted)"):
            return True
        if not places:
            return False
        # A sandbox shows the folder elsewhere: walk up as the process itself would.
        for _ in where.parts:
            found = link.stat()
            if (found.st_dev, found.st_ino) in places:
                return True
            link /= ".."
    except OSError as error:
        _seen(error)
    return False
