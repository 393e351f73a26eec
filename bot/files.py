"""Owns files that agents may have written: reading them without being led astray, handing over, removing."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
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
    """Hand a file, or a folder and all in it, to `owner`, a user id; symlinks are never followed. None changes nothing."""
    if owner is None:
        return
    os.chown(path, owner, owner, follow_symlinks=False)
    # No calls in each other: folders may be nested deeper than those go. Their paths end at the system's PATH_MAX:
    # beyond that this raises OSError.
    folders = [os.fspath(path)] if path.is_dir() and not path.is_symlink() else []
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                os.chown(entry.path, owner, owner, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def remove(path: Path) -> list[str]:
    """Remove a file or folder; give the paths that are still there, at most 20 of those inside."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        with suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
        if path.is_dir():
            with suppress(OSError):
                _flatten(path)
                path.rmdir()
    if not os.path.lexists(path):
        return []
    return [str(path), *sorted(str(left) for left in islice(path.rglob("*"), 20))]


def _flatten(path: Path) -> None:
    """Empty a folder however deep it is and whatever its owner locked: what lies deeper is moved up before."""
    new_names = (f"{secrets.token_hex(8)}-{number}" for number in count())
    top = _unlocked(os.fspath(path))
    try:
        while found := _entries(top):
            for name, is_folder in found:
                if is_folder:
                    _spill(top, name, new_names)
                else:
                    os.unlink(name, dir_fd=top)
    finally:
        os.close(top)


def _spill(top: int, name: str, new_names: Iterator[str]) -> None:
    """Remove a folder in the folder `top`; the folders in it come to lie in `top`."""
    inner = _unlocked(name, top)
    try:
        for child, is_folder in _entries(inner):
            if is_folder:
                os.close(_unlocked(child, inner))
                os.rename(child, next(new_names), src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _unlocked(name: str, above: int | None = None) -> int:
    """Open a folder and give back the permissions that an agent took from it; root never follows a link here."""
    try:
        folder = os.open(name, _NOFOLLOW | os.O_DIRECTORY, dir_fd=above)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=above)
        folder = os.open(name, _NOFOLLOW | os.O_DIRECTORY, dir_fd=above)
    os.fchmod(folder, stat.S_IRWXU)
    return folder


def _entries(folder: int) -> list[tuple[str, bool]]:
    """List the names in an open folder, and which of them are folders."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
