"""Owns limits on whole boxes: control groups where this machine lets us make some, found by making one.

`find() -> Groups | None`; `Groups.make(memory_bytes, processes) -> Group`; a box's first process joins before it becomes
bubblewrap, and the group is removed when the box is empty. A group's name says which process made it, so that a
later start finds those of bots that were killed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot import living, process
from bot.errors import SandboxError

_PREFIX = "gitwright-"
_SPARE = 64  # processes beside those that commands may have: process 1 and the minders of the commands
_WEIGHT = 50  # of 100: the bot and the rest of the machine go first
_SECONDS = 5.0
_ASK_SECONDS = 5.0
_BUS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # where a user's own systemd is found
_LEAF = f"{_PREFIX}bot"  # where we go to divide the group that we are in
_NEEDED = frozenset({"memory", "pids"})
_JOIN = 'for f do [ "$f" = -- ] && break; shift; echo $$ >"$f" || exit 125; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of one box: `start` begins its command line, which needs these variables."""

    folders: tuple[Path, ...]
    start: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """End whoever is left in it and remove it; SandboxError where that cannot be done."""
        deadline = time.monotonic() + _SECONDS
        while left := [folder for folder in self.folders if not _removed(folder)]:
            if time.monotonic() > deadline:
                raise SandboxError(f"The control group `{left[0]}` of a box cannot be removed.")
            time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made: a folder of each hierarchy, or by asking systemd; `way` says it for people."""

    way: str
    folders: Mapping[
        str, Path
    ]  # controller -> our folder; one of version 2 stands for all of its controllers
    systemd: tuple[str, ...] = ()

    def make(self, memory_bytes: int, processes: int) -> Group:
        """Make a group with these limits; SandboxError where the machine refuses."""
        name = f"{_PREFIX}{os.getpid()}.{living.started(os.getpid())}-{secrets.token_hex(8)}"
        tasks = processes + _SPARE
        if self.systemd:
            return self._scope(name, memory_bytes, tasks)
        made: list[Path] = []
        try:
            for controller, folder in self.folders.items():
                group = folder / name
                group.mkdir()
                made.append(group)
                _limit(group, controller, memory_bytes, tasks)
        except OSError as error:
            Group(tuple(made), ()).close()
            raise SandboxError(f"No control group can be made for a box: {error}") from error
        joins = [str(group / "cgroup.procs") for group in made]
        return Group(tuple(made), ("sh", "-c", _JOIN, "join", *joins, "--"))

    def _scope(self, name: str, memory_bytes: int, tasks: int) -> Group:
        limits = (f"MemoryMax={memory_bytes}", "MemorySwapMax=0", f"TasksMax={tasks}", f"CPUWeight={_WEIGHT}")
        properties = [part for limit in limits for part in ("-p", limit)]
        forget = [part for variable in _BUS for part in ("-u", variable)]
        start = (*self.systemd, f"--unit={name}", *properties, "--", "env", *forget)
        return Group((), start, process.inherited(*_BUS))


def find(root: Path = Path("/proc/self")) -> Groups | None:
    """Find a way to limit whole boxes, by taking it once; removes what bots that are dead have left."""
    for groups in _ways(root):
        for folder in groups.folders.values():
            sweep(folder)
        try:
            groups.make(1 << 30, 64).close()
        except SandboxError:
            continue
        return groups
    return None


def sweep(folder: Path) -> list[str]:
    """Remove groups whose bot is dead, and name them; those of other bots on this machine stay."""
    gone = []
    for group in folder.glob(f"{_PREFIX}*.*-*"):
        owner = group.name.removeprefix(_PREFIX).partition("-")[0].partition(".")
        # Of whom nobody knows whether he lives, he does.
        with suppress(SandboxError, living.UnseenError):
            if owner[0].isdigit() and str(living.started(int(owner[0]))) != owner[2]:
                Group((group,), ()).close()
                gone.append(group.name)
    return gone


def _limit(group: Path, controller: str, memory_bytes: int, tasks: int) -> None:
    if controller == "":
        _write(group / "memory.max", memory_bytes)
        _write(group / "pids.max", tasks)
        for name, value in (("memory.swap.max", 0), ("cpu.weight", _WEIGHT)):
            if (group / name).exists():
                _write(group / name, value)
    elif controller == "memory":
        _write(group / "memory.limit_in_bytes", memory_bytes)
        if (group / "memory.memsw.limit_in_bytes").exists():
            _write(group / "memory.memsw.limit_in_bytes", memory_bytes)
    elif controller == "pids":
        _write(group / "pids.max", tasks)
    else:
        _write(group / "cpu.shares", 1024 * _WEIGHT // 100)


def _write(file: Path, value: int | str) -> None:
    file.write_text(f"{value}\n", "ascii")


def _removed(group: Path) -> bool:
    """Kill who is in a group, and try to remove it."""
    with suppress(OSError):
        living.kill(int(pid) for pid in (group / "cgroup.procs").read_text("ascii").split())
    with suppress(OSError):
        _write(group / "cgroup.kill", 1)
    with suppress(FileNotFoundError, OSError):
        group.rmdir()
    return not group.exists()


def _ways(root: Path) -> list[Groups]:
    """List what to try, the most exact first."""
    own, mounted = _own(root / "cgroup"), _mounted(root / "mountinfo")
    ways = []
    if "" in mounted and "" in own and (folder := _divided(mounted[""] / own[""].lstrip("/"))) is not None:
        ways.append(Groups("a delegated control group", {"": folder}))
    first: dict[str, Path] = {
        name: mounted[name] / own[name].lstrip("/")
        for name in ("memory", "pids", "cpu")
        if name in mounted and name in own
    }
    writable = {name: folder for name, folder in first.items() if os.access(folder, os.W_OK)}
    if writable.keys() >= _NEEDED:
        ways.append(Groups("control groups of version 1", writable))
    if (asked := _systemd()) is not None:
        ways.append(Groups("systemd", {}, asked))
    return ways


def _divided(own: Path) -> Path | None:
    """Give a folder of version 2 whose groups get memory and process limits; None where it is not ours to divide.

    It is the group that we are in, and none above: root may write there, too, outside the limits of our unit.
    """
    folder = own.parent if own.name == _LEAF else own
    if not _to_divide(folder):
        return None
    if not os.access(folder, os.W_OK) or not os.access(folder / "cgroup.procs", os.W_OK):
        return None
    with suppress(OSError):
        if not _words(folder / "cgroup.controllers") >= _NEEDED:
            return None
        if not _words(folder / "cgroup.subtree_control") >= _NEEDED:
            if (
                folder / "cgroup.events"
            ).exists():  # only the machine's root has none, and may hold processes
                _move_into_leaf(folder)
            wanted = _words(folder / "cgroup.controllers") & (_NEEDED | {"cpu"})
            _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(wanted)))
        return folder
    return None


def _to_divide(group: Path) -> bool:
    """Say whether it is no login's, nor in one's: systemd keeps those in scopes, and marks what it gives away."""
    scope = next((folder for folder in (group, *group.parents) if folder.suffix == ".scope"), None)
    if scope is None:
        return True
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(scope, name) == b"1":
                return True
    return False


def _move_into_leaf(folder: Path) -> None:
    """Put whoever is in a group of ours into a leaf of it, since processes may be in leaves only; OSError where one is not ours."""
    pids = sorted(_words(folder / "cgroup.procs"))
    for pid in pids:
        if (Path("/proc") / pid).stat().st_uid != os.geteuid():
            raise PermissionError(f"process {pid} is another user's")
    leaf = folder / _LEAF
    leaf.mkdir(exist_ok=True)
    for pid in pids:
        _write(leaf / "cgroup.procs", pid)


def _words(file: Path) -> set[str]:
    return set(file.read_text("ascii").split())


def _own(file: Path) -> dict[str, str]:
    """Read which group we are in, by controller; version 2 has the empty name."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in file.read_text("utf-8", "replace").splitlines():
            _, controllers, path = line.split(":", 2)
            found |= dict.fromkeys(controllers.split(","), path)
    return found


def _mounted(file: Path) -> dict[str, Path]:
    """Read where the hierarchies are mounted, by controller; only those that show all of it, and can be written."""
    found: dict[str, Path] = {}
    with suppress(OSError):
        for line in file.read_text("utf-8", "replace").splitlines():
            before, _, after = line.partition(" - ")
            root, place, options = before.split()[3:6]
            kind, _, more = after.split(" ", 2)
            if root != "/" or "rw" not in options.split(","):
                continue
            if kind == "cgroup2":
                found[""] = Path(place)
            elif kind == "cgroup":
                found |= {name: Path(place) for name in more.split(",") if name in {"memory", "pids", "cpu"}}
    return found


def _systemd() -> tuple[str, ...] | None:
    """Ask the service manager whether it makes scopes for us; None where there is none that answers."""
    program = shutil.which("systemd-run")
    user = () if os.geteuid() == 0 else ("--user",)
    if program is None or not Path("/run/systemd/system").is_dir():
        return None
    start = (program, *user, "--scope", "--quiet", "--collect")
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [*start, "-p", "TasksMax=64", "--", "true"],
            capture_output=True,
            check=False,
            timeout=_ASK_SECONDS,
        )
        return start if done.returncode == 0 else None
    return None
