"""Owns the way from the bot's own process to bubblewrap: limits, user id, and paths that this id cannot reach."""

from __future__ import annotations

import resource
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.errors import SandboxError
from bot.process import sandbox_uid

_STAGES = ("/mnt", "/media", "/srv", "/opt", "/run", "/tmp")  # noqa: S108 - covered in a private mount namespace
_STAGE = """\
set -e
stage=$1; shift
mount -t tmpfs -o mode=0755,size=1m tmpfs "$stage"
n=0
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir "$stage/$n"; else : >"$stage/$n"; fi
  mount --bind "$1" "$stage/$n"
  n=$((n+1)); shift
done
shift
exec "$@"
"""
_FILE_BYTES = 1 << 30
_OPEN_FILES = 4096


def drop() -> list[str]:
    """Give the start of a command line that leaves root: bubblewrap started as root would be root outside."""
    uid = sandbox_uid()
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid is not None else []


def limits(memory_bytes: int) -> list[str]:
    """Give the start of a command line that bounds each process; memory as written data, since reserving is free."""
    wanted = {
        "nofile": (resource.RLIMIT_NOFILE, _OPEN_FILES),
        "fsize": (resource.RLIMIT_FSIZE, _FILE_BYTES),
        "core": (resource.RLIMIT_CORE, 0),
        "data": (resource.RLIMIT_DATA, memory_bytes),
    }
    flags = []
    for name, (kind, value) in wanted.items():
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        flags.append(f"--{name}={bound}:{bound}")
    return ["prlimit", *flags]


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
    start = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _STAGE, "stage", str(place)]
    return [*start, *names, "--"], found


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
