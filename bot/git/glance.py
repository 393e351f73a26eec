"""Owns a quick look at a worktree while an agent works in it: has anything changed since the last look?"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bot.git.scan import CACHE_FOLDERS

_LARGEST = 1 << 20  # bytes; of a larger file size and time are enough
_MOST = 50_000  # files


class Glance:
    """Hashes what lies in a folder; only what looks touched is read again. What is seen may change meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}

    async def __call__(self) -> str:
        """Give a hash of all paths, kinds and contents; equal hashes mean equal content."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> str:
        whole = hashlib.sha256()
        for path in sorted(self._paths()):
            whole.update(path.encode("utf-8", "surrogateescape") + b"\0")
            with suppress(OSError):  # gone or shut since it was listed
                whole.update(self._one(path).encode() + b"\0")
        return whole.hexdigest()

    def _paths(self) -> Iterator[str]:
        count = 0
        for root, folders, names in os.walk(self._folder, followlinks=False):
            folders[:] = [name for name in folders if name not in CACHE_FOLDERS and name != ".git"]
            for name in names:
                count += 1
                if count > _MOST:
                    return
                yield str(Path(root, name).relative_to(self._folder))

    def _one(self, path: str) -> str:
        full = self._folder / path
        found = full.lstat()
        if stat.S_ISLNK(found.st_mode):
            return f"link {str(full.readlink())!r}"
        mark = (found.st_size, found.st_mtime_ns, found.st_mode)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return f"other {mark}"
        known = self._known.get(path)
        if known is None or known[0] != mark:
            known = (mark, f"{found.st_mode:o} {_digest(full)}")
            self._known[path] = known
        return known[1]


def _digest(path: Path) -> str:
    # The agent may put anything in the file's place between two calls: no link is followed, no pipe waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        return hashlib.sha256(file.read(_LARGEST + 1)).hexdigest()
