"""Owns a quick look at a folder while an agent works in it: has anything changed since the last look?

Runs in a box of its own that shows the folder read-only, see bot/git/glance.py: a hash of what is there for each line
that comes by standard input. Only what looks touched is read again, and it may change meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator

_LARGEST = 1 << 20  # bytes; of a larger file size and time are enough
_AT_ONCE = 1 << 30  # bytes that one look reads: of what is left it believes size and time until the next one
_MOST = 50_000  # files


class Looker:
    """Remembers what it has read."""

    def __init__(self, folder: str, left_out: set[str], laid: set[str]) -> None:
        self._folder = folder
        self._left_out = left_out  # names
        self._laid = laid  # paths that the host laid there
        self._left = 0  # bytes that this look may still read
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}

    def look(self) -> str:
        """Give a hash of all paths, kinds and contents; equal hashes mean equal content."""
        whole, self._left = hashlib.sha256(), _AT_ONCE
        for path in sorted(self._paths()):
            whole.update(os.fsencode(path) + b"\0")
            try:
                whole.update(self._one(path).encode("utf-8", "surrogateescape") + b"\0")
            except OSError:
                continue  # gone or shut since it was listed
        return whole.hexdigest()

    def _paths(self) -> Iterator[str]:
        """Walk with a list of what is left: folders may lie deeper in each other than a call may."""
        count, left = 0, [""]
        while left:
            at = left.pop()
            for name, is_folder in _entries(os.path.join(self._folder, at)):  # noqa: PTH118
                path = f"{at}/{name}" if at else name
                if name == ".git" or path in self._laid:
                    continue
                if is_folder:
                    left += [path] if name not in self._left_out else []
                    continue
                count += 1
                if count > _MOST:
                    return
                yield os.path.join(self._folder, path)  # noqa: PTH118

    def _one(self, path: str) -> str:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return f"link {os.readlink(path)!r}"  # noqa: PTH115
        mark = (found.st_size, found.st_mtime_ns, found.st_mode)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return f"other {mark}"
        known = self._known.get(path)
        if known is None or known[0] != mark:
            if found.st_size > self._left:
                return f"other {mark}"
            self._left -= found.st_size
            known = (mark, f"{found.st_mode:o} {_digest(path)}")
            self._known[path] = known
        return known[1]


def _entries(folder: str) -> list[tuple[str, bool]]:
    """List what is in a folder, and whether it is a folder itself; nothing where it is gone, shut or too deep to be named."""
    try:
        with os.scandir(folder) as listing:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing)
    except OSError:
        return []


def _digest(path: str) -> str:
    # The agent may put anything in the file's place between two calls: no link is followed, no pipe waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        return hashlib.sha256(file.read(_LARGEST + 1)).hexdigest()


def main() -> None:
    looker = Looker(sys.argv[1], set(sys.argv[2].split()), set(sys.argv[3:]))
    for _ in sys.stdin:
        sys.stdout.write(looker.look() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
