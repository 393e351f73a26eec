"""Owns files that agents may have written: reading them without being led astray, handing over, removing."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

_NOFOLLOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def ensure_dir(path: Path, mode: int = 0o700) -> Path:
    """Make a folder and its parents where missing; the folder itself gets exactly `mode`."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def read_beneath(root: Path, name: str, limit: int) -> bytes | None:
    """Read a regular file below `root` without following any symlink.

    None where it is missing, no regular file, behind a symlink, or larger than `limit`.
    """
    parts = name.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        return None
    opened: list[int] = []
    try:
        opened.append(os.open(root, _NOFOLLOW | os.O_DIRECTORY))
        for part in parts[:-1]:
            opened.append(os.open(part, _NOFOLLOW | os.O_DIRECTORY, dir_fd=opened[-1]))
        opened.append(os.open(parts[-1], _NOFOLLOW, dir_fd=opened[-1]))
        found = os.fstat(opened[-1])
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        with os.fdopen(opened.pop(), "rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    finally:
        for number in opened:
            os.close(number)
    return data if len(data) <= limit else None


def give(path: Path, owner: int | None) -> None:
    """Hand a folder and all in it to `owner`, a user id; symlinks are never followed. None changes nothing."""
    if owner is None:
        return
    os.chown(path, owner, owner, follow_symlinks=False)
    for folder, folders, names in os.walk(path, followlinks=False):
        for name in (*folders, *names):
            os.chown(os.path.join(folder, name), owner, owner, follow_symlinks=False)  # noqa: PTH118 - hot loop


def remove(path: Path) -> list[str]:
    """Remove a file or folder; give the paths that are still there."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
    if path.exists() and os.geteuid() != 0:
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return []
    return [str(path), *sorted(str(left) for left in path.rglob("*"))][:20]


def _unlock(path: Path) -> None:
    """Give back the permissions that an agent took from its folders; root needs none, so it never follows here."""
    with suppress(OSError):
        path.chmod(0o700)
        for folder, folders, _ in os.walk(path, followlinks=False):
            for name in folders:
                inner = Path(folder) / name
                if not inner.is_symlink():
                    inner.chmod(0o700)
