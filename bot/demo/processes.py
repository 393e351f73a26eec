"""Owns the demo's processes: each in a group of its own, none alive at the end, and proof of that from the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

RUN_VARIABLE = "GITWRIGHT_DEMO_RUN"
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


class Child:
    """One started process; both its streams go to `log` unless `stdout` says otherwise."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, pipe: bool = False
    ) -> None:
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else errors,
                stderr=errors,
                start_new_session=True,
            )
        self.started = time.time()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it lives."""
        return self.process.poll()

    def kill_alone(self) -> None:
        """End this process, and not its children, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, grace: float) -> int:
        """Ask it to end, and kill its whole group where it does not within `grace` seconds; gives the exit code."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(grace)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.process.wait(10)


def this_process() -> int:
    """Name the process that all others of the run descend from."""
    return os.getpid()


def adopt_orphans() -> None:
    """Have orphans of our children become ours, so that none escapes the search (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def living(run: str, ancestor: int | None = None) -> list[int]:
    """Find live processes that carry this run's mark, or descend from `ancestor`, in order of pid."""
    found = set(_marked(run))
    if ancestor is not None:
        _reap(ancestor)
        found |= _descendants(ancestor)
    return sorted(found - {os.getpid()})


def command_of(pid: int) -> str:
    """Give the beginning of a process's command line, for people who look for it."""
    try:
        line = (
            (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return "ended meanwhile"
    return line[:200] or "no command line"


def end_all(pids: Sequence[int]) -> None:
    """Kill what should not be there any more."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _marked(run: str) -> list[int]:
    mark = f"{RUN_VARIABLE}={run}"
    if not _PROC.is_dir():
        return _marked_by_ps(mark)
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        # A process may end, or belong to somebody else, while we look.
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0") and _state(entry) != "Z":
                found.append(int(entry.name))
    return found


def _marked_by_ps(mark: str) -> list[int]:
    """Macs have no /proc; their `ps -E` shows the environment of our own processes."""
    listed = subprocess.run(
        ["ps", "-E", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=False, timeout=20
    )
    return [int(line.split(None, 1)[0]) for line in listed.stdout.splitlines() if mark in line]


def _descendants(ancestor: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = _state_and_parent(entry)
                if state != "Z":
                    parents[int(entry.name)] = parent
    found: set[int] = set()
    level = {ancestor}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level} - found
        found |= level
    return found


def _reap(parent: int) -> None:
    """Collect orphans that ended after we adopted them; a zombie is no living process."""
    if parent != os.getpid() or not _PROC.is_dir():
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if _state_and_parent(entry) == ("Z", parent):
                    os.waitpid(int(entry.name), os.WNOHANG)


def _state(entry: Path) -> str:
    return _state_and_parent(entry)[0]


def _state_and_parent(entry: Path) -> tuple[str, int]:
    """Read a process's state and parent; its name, in parentheses, may hold anything."""
    fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[1])
