"""Owns folders that hostile code wrote, as a whole: made harmless, measured, copied; no link in them is ever followed.

To be called when nobody writes them any more: every file is opened below its open folder, with O_NOFOLLOW.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bot.errors import BotError

try:
    from fcntl import ioctl
except ImportError:  # pragma: no cover - not on POSIX
    ioctl = None  # type: ignore[assignment]

DEEPEST = 100  # folders in each other
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # of Linux: the copy shares its blocks until one of both is written
_CHUNK = 1 << 20


class TreeError(BotError):
    """A folder is larger or deeper than may be; the text says so."""


@dataclass(slots=True)
class Measured:
    """What lies in a folder, and what was taken out of it since nobody may have it."""

    files: int = 0
    bytes: int = 0
    dropped: list[str] = field(default_factory=list)


def tame(root: Path, *, most_files: int, most_bytes: int) -> Measured:
    """Remove devices, pipes and sockets, take away set-id bits, make all readable to its owner, and measure.

    TreeError where there is more than may be. Files with several names count each time.
    """
    found = Measured()
    with _opened(root) as top:
        _tame(top, "", found, (most_files, most_bytes), 0)
    return found


def _tame(folder: int, at: str, found: Measured, most: tuple[int, int], depth: int) -> None:
    if depth > DEEPEST:
        raise TreeError(f"folders lie more than {DEEPEST} deep in each other")
    for name, seen in _entries(folder, most[0] - found.files + 1):
        path = f"{at}/{name}" if at else name
        found.files += 1
        if stat.S_ISDIR(seen.st_mode):
            with _unlocked(name, folder) as inner:
                _tame(inner, path, found, most, depth + 1)
        elif stat.S_ISREG(seen.st_mode):
            found.bytes += seen.st_size
            mode = (seen.st_mode & 0o777) | 0o600
            if mode != stat.S_IMODE(seen.st_mode):
                os.chmod(name, mode, dir_fd=folder)
        elif not stat.S_ISLNK(seen.st_mode):
            os.unlink(name, dir_fd=folder)
            found.dropped.append(path)
        _bounded(found, most)


def _bounded(found: Measured, most: tuple[int, int]) -> None:
    if found.files > most[0]:
        raise TreeError(f"it wrote more than {most[0]:,} files")
    if found.bytes > most[1]:
        raise TreeError(f"it wrote more than {most[1] / 1e6:,.0f} MB")


def look(roots: Sequence[Path], *, most_files: int, most_bytes: int) -> None:
    """Raise TreeError where folders that may still be written hold more in all; what is gone meanwhile is left out."""
    found, pending = Measured(), list(roots)
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                found.files += 1
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        found.bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                _bounded(found, (most_files, most_bytes))


def copy(source: Path, target: Path, owner: int | None) -> None:
    """Copy a tamed folder into another one, given to `owner`; what is there already stays, and nothing is shared.

    Files with several names in the source have them in the copy too; times of change stay.
    """
    with _opened(source) as old, _opened(target) as new:
        _Copy(target, owner).folder(old, new, "")


class _Copy:
    def __init__(self, target: Path, owner: int | None) -> None:
        self._target = target
        self._owner = owner
        self._links: dict[tuple[int, int], str] = {}
        self._clones = ioctl is not None

    def folder(self, old: int, new: int, at: str) -> None:
        for name, seen in _entries(old):
            path = f"{at}/{name}" if at else name
            if stat.S_ISDIR(seen.st_mode):
                self._folder(old, new, name, path, seen)
            else:
                # What the repository has at this place is what counts.
                with contextlib.suppress(FileExistsError):
                    self._entry(old, new, name, path, seen)

    def _folder(self, old: int, new: int, name: str, path: str, seen: os.stat_result) -> None:
        made = True
        try:
            os.mkdir(name, 0o700, dir_fd=new)
        except FileExistsError:
            made = False
        try:
            below = os.open(name, _FOLDER, dir_fd=new)
        except OSError:
            return  # a link or a file of the repository stands there
        try:
            with _opened(name, old) as inner:
                self.folder(inner, below, path)
            if made:
                os.fchmod(below, stat.S_IMODE(seen.st_mode) & 0o777)
                self._give(below)
                os.utime(below, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        finally:
            os.close(below)

    def _entry(self, old: int, new: int, name: str, path: str, seen: os.stat_result) -> None:
        if stat.S_ISLNK(seen.st_mode):
            os.symlink(os.readlink(name, dir_fd=old), name, dir_fd=new)
            if self._owner is not None:
                os.chown(name, self._owner, self._owner, dir_fd=new, follow_symlinks=False)
        elif stat.S_ISREG(seen.st_mode):
            twin = self._links.get((seen.st_dev, seen.st_ino)) if seen.st_nlink > 1 else None
            if twin is not None:
                os.link(self._target / twin, name, dst_dir_fd=new, follow_symlinks=False)
            else:
                self._file(old, new, name, seen)
                self._links[seen.st_dev, seen.st_ino] = path

    def _file(self, old: int, new: int, name: str, seen: os.stat_result) -> None:
        source = os.open(name, _READ, dir_fd=old)
        try:
            target = os.open(name, _NEW, 0o600, dir_fd=new)
            try:
                self._bytes(source, target)
                os.fchmod(target, stat.S_IMODE(seen.st_mode) & 0o777)
                self._give(target)
                os.utime(target, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _bytes(self, source: int, target: int) -> None:
        if self._clones:
            try:
                ioctl(target, _FICLONE, source)
                return
            except OSError:
                self._clones = False  # not on this file system
        while data := os.read(source, _CHUNK):
            while data:
                data = data[os.write(target, data) :]

    def _give(self, number: int) -> None:
        if self._owner is not None:
            os.fchown(number, self._owner, self._owner)


def move(source: Path, target: Path, keep: frozenset[str]) -> list[str]:
    """Move all out of a tamed folder that is not `keep`, paths of files; give what was moved, each whole folder as one.

    Folders that hold something to keep stay; those that `target` lacks are made there.
    """
    above = {"/".join(path.split("/")[:depth]) for path in keep for depth in range(1, path.count("/") + 1)}
    moved: list[str] = []
    with _opened(source) as old, _opened(target) as new:
        _move(old, new, "", (keep, frozenset(above)), moved)
    return moved


def _move(
    old: int, new: int, at: str, known: tuple[frozenset[str], frozenset[str]], moved: list[str]
) -> None:
    kept, above = known
    for name, seen in _entries(old):
        path = f"{at}/{name}" if at else name
        if path in kept:
            continue
        if path in above and stat.S_ISDIR(seen.st_mode):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=new)
            with _opened(name, old) as inner, _opened(name, new) as outer:
                _move(inner, outer, path, known, moved)
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=new)  # nothing was moved there
        elif path not in above and not (stat.S_ISDIR(seen.st_mode) and _is_empty(name, old)):
            os.rename(name, name, src_dir_fd=old, dst_dir_fd=new)
            moved.append(path)


def others(source: Path, keep: frozenset[str]) -> list[str]:
    """Name all in a folder that is not `keep`, paths of files; each whole folder as one."""
    above = {"/".join(path.split("/")[:depth]) for path in keep for depth in range(1, path.count("/") + 1)}
    found: list[str] = []
    pending = [""]
    while pending:
        at = pending.pop()
        with os.scandir(source / at) as entries:
            for entry in entries:
                path = f"{at}/{entry.name}" if at else entry.name
                if path in above and entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif path not in keep and path not in above:
                    found.append(path)
    return found


def has_folder(root: Path, path: str) -> bool:
    """Tell whether there is a folder at a path, and no link on the way to it."""
    with contextlib.ExitStack() as stack:
        try:
            at = stack.enter_context(_opened(root))
            for name in path.split("/"):
                at = stack.enter_context(_opened(name, at))
        except OSError:
            return False
    return True


def _is_empty(name: str, above: int) -> bool:
    with _opened(name, above) as folder:
        return not _entries(folder, 1)


@contextmanager
def _opened(name: str | Path, above: int | None = None) -> Iterator[int]:
    folder = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _unlocked(name: str, above: int) -> Iterator[int]:
    """Open a folder of ours with the rights that a set-up may have taken from it; nobody swaps it meanwhile."""
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=above)
        folder = os.open(name, _FOLDER, dir_fd=above)
    try:
        os.fchmod(folder, (os.fstat(folder).st_mode & 0o777) | stat.S_IRWXU)
        yield folder
    finally:
        os.close(folder)


def _entries(folder: int, most: int | None = None) -> list[tuple[str, os.stat_result]]:
    """List a folder, `most` of it: millions of names would not fit into memory."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in islice(entries, most)]
