"""Owns files that agents may have written: reading them without being led astray, handing over, removing."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path

_HELD = 16  # folders that are open within each other while one is emptied
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


def append_beneath(root: Path, name: str, data: bytes) -> None:
    """Append to a regular file below `root`, made with its folders where missing; OSError where a symlink is in the way."""
    with _folder_beneath(root, name) as (folder, last):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        number = os.open(last, flags, 0o644, dir_fd=folder)
        with os.fdopen(number, "ab") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(errno.EINVAL, "no regular file", name)
            file.write(data)


def put_beneath(root: Path, name: str, data: bytes, owner: int | None) -> None:
    """Put a new file of `owner` in the place of a file or symlink below `root`; OSError where a symlink is on the way."""
    with _folder_beneath(root, name) as (folder, last):
        with suppress(FileNotFoundError):
            os.unlink(last, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(last, flags, 0o644, dir_fd=folder), "wb") as file:
            file.write(data)
            if owner is not None:
                os.fchown(file.fileno(), owner, owner)


@contextmanager
def _folder_beneath(root: Path, name: str) -> Iterator[tuple[int, str]]:
    """Open the folder of a name below `root`, made where missing, through no symlink; gives the name's last part too."""
    parts = name.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise OSError(errno.EINVAL, "no name below a folder", name)
    opened = [os.open(root, _NOFOLLOW | os.O_DIRECTORY)]
    try:
        for part in parts[:-1]:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=opened[-1])
            opened.append(os.open(part, _NOFOLLOW | os.O_DIRECTORY, dir_fd=opened[-1]))
        yield opened[-1], parts[-1]
    finally:
        for number in opened:
            os.close(number)


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
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            top = _unlocked(os.fspath(path))
            try:
                _empty(top, _HELD)
            finally:
                os.close(top)
            path.rmdir()
    elif os.path.lexists(path):
        path.unlink(missing_ok=True)
    if not os.path.lexists(path):
        return []
    return [str(path), *sorted(islice(_inside(path), 20))]


def _inside(path: Path) -> Iterator[str]:
    """List what is below a folder, as far as it can be read."""
    folders = [os.fspath(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                yield entry.path
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _empty(folder: int, levels: int) -> None:
    """Empty an open folder as far as that can be done, whatever its owner locked; `levels` of those in it are held open.

    What stays is found by whoever looks: one thing that cannot be removed must not keep all others.
    """
    if not levels:
        _flatten(folder)
        return
    for name, is_folder in _entries(folder):
        with suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=folder)
                continue
            inner = _unlocked(name, folder)
            try:
                _empty(inner, levels - 1)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=folder)


def _flatten(top: int) -> None:
    """Empty an open folder however deep it is, with one more held open: what lies deeper is moved up before."""
    new_names = (f"{secrets.token_hex(8)}-{number}" for number in count())
    stuck: set[str] = set()
    while found := [each for each in _entries(top) if each[0] not in stuck]:
        for name, is_folder in found:
            try:
                if is_folder:
                    _spill(top, name, new_names)
                else:
                    os.unlink(name, dir_fd=top)
            except OSError:
                stuck.add(name)


def _spill(top: int, name: str, new_names: Iterator[str]) -> None:
    """Remove a folder in the folder `top`; the folders in it come to lie in `top`."""
    inner = _unlocked(name, top)
    try:
        for child, is_folder in _entries(inner):
            with suppress(OSError):
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
        _unlock(name, above)
        folder = os.open(name, _NOFOLLOW | os.O_DIRECTORY, dir_fd=above)
    with suppress(PermissionError):  # somebody else's, which may do as it is
        os.fchmod(folder, stat.S_IRWXU)
    return folder


def _unlock(name: str, above: int | None) -> None:
    """Change the mode of a folder, and of nothing that a symlink in its place leads to."""
    if not hasattr(os, "O_PATH"):  # not Linux
        os.chmod(name, stat.S_IRWXU, dir_fd=above, follow_symlinks=False)
        return
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
    try:
        Path(f"/proc/self/fd/{place}").chmod(stat.S_IRWXU)
    finally:
        os.close(place)


def _entries(folder: int) -> list[tuple[str, bool]]:
    """List the names in an open folder, and which of them are folders."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
