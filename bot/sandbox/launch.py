"""Owns the way from the bot's own process to bubblewrap: limits, user id, and paths that this id cannot reach."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot import files
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.process import sandbox_uid

_STAGES = ("/mnt", "/media", "/srv", "/opt", "/run", "/tmp")  # noqa: S108 - covered in a private mount namespace
# One program mounts all of them: to start one for each takes longer than to start the box.
_STAGE = """\
set -e
stage=$1 table=$2; shift 2
mount -t tmpfs -o mode=0755,size=1m tmpfs "$stage"
n=0 folders=
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then folders="$folders $stage/$n"; else : >"$stage/$n"; fi
  n=$((n+1)); shift
done
shift
[ -z "$folders" ] || mkdir $folders
printf %s "$table" >"$stage/table"
mount -a -T "$stage/table"
exec "$@"
"""
_SPECIAL = " \t\n\\#"
_FILE_BYTES = 1 << 30
_OPEN_FILES = 4096


def drop() -> list[str]:
    """Give the start of a command line that leaves root: bubblewrap started as root would be root outside."""
    return _drop(sandbox_uid(), root=os.geteuid() == 0)


def _drop(uid: int | None, *, root: bool) -> list[str]:
    if uid:
        return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    if root:
        raise SandboxError("The bot is root and has no other user to run a box as.")
    return []


def hand_over(policy: SandboxPolicy) -> None:
    """Give what is the box's to the user that boxes run as, where that is another than the bot's."""
    owner = sandbox_uid()
    if owner is None:
        return
    for folder in (policy.work, policy.home, *policy.writable):
        if folder.stat().st_uid != owner:
            files.give(folder, owner)
    for outlet in policy.outlets:
        os.chown(outlet.socket, owner, owner, follow_symlinks=False)


def limits(memory_bytes: int) -> list[str]:
    """Give the start of a command line that bounds each process."""
    return ["prlimit", *(f"--{name}={bound}:{bound}" for name, bound in bounds(memory_bytes).items())]


def bounds(memory_bytes: int) -> dict[str, int]:
    """Give what each process is bounded to, as far as may be asked for; memory as written data, since reserving is free."""
    wanted = {
        "nofile": (resource.RLIMIT_NOFILE, _OPEN_FILES),
        "fsize": (resource.RLIMIT_FSIZE, _FILE_BYTES),
        "core": (resource.RLIMIT_CORE, 0),
        "data": (resource.RLIMIT_DATA, memory_bytes),
    }
    return {name: at_most(kind, value) for name, (kind, value) in wanted.items()}


def at_most(kind: int, value: int) -> int:
    """Give a value of a limit, or the hard one where that is less."""
    _, hard = resource.getrlimit(kind)
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def stage(sources: Sequence[Path]) -> tuple[list[str], Mapping[Path, Path]]:
    """Make sources below private folders reachable for the other user id, in a private mount namespace.

    Gives the start of a command line and where each such source is found.
    """
    if sandbox_uid() is None:
        return [], {}
    hidden = sorted({source for source in sources if not _reachable(source)})
    if not hidden:
        return [], {}
    place = _stage_folder(sources)
    found = {source: place / str(number) for number, source in enumerate(hidden)}
    names = [str(source) for source in hidden]
    table = "".join(f"{_field(name)} {found[Path(name)]} none bind 0 0\n" for name in names)
    start = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _STAGE, "stage", str(place), table]
    return [*start, *names, "--"], found


def _field(path: str) -> str:
    """Write a path as fstab(5) wants it."""
    return "".join(f"\\{ord(char):03o}" if char in _SPECIAL else char for char in path)


def _stage_folder(sources: Sequence[Path]) -> Path:
    for name in _STAGES:
        folder = Path(name)
        if folder.is_dir() and not any(source.resolve().is_relative_to(folder) for source in sources):
            return folder
    raise SandboxError(f"None of {', '.join(_STAGES)} is free to show private folders to a sandbox.")


def _reachable(source: Path) -> bool:
    """Say whether anybody may walk to a source and, where it is a folder, into it."""
    real = source.resolve()
    above = (*reversed(real.parents), *((real,) if real.is_dir() else ()))
    owner = sandbox_uid()
    for folder in above:
        found = folder.stat()
        if not found.st_mode & stat.S_IXOTH and found.st_uid != owner:
            return False
    return True
