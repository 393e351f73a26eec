"""Owns what a planning agent can do in a worktree: list, search and read, confined to it, in small portions."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

READ_LINES = 400
LINE_LENGTH = 400  # characters
MOST_ENTRIES = 300
MOST_HITS = 60
LARGEST_FILE = 400_000  # bytes
MOST_FILES = 20_000  # looked at by one search
_HIDDEN = frozenset({".git"})


class RefusedError(Exception):
    """The tool does not do that; the text tells the model why."""


class ReadTools:
    """Read-only tools on one folder; a link is named, never followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list_folder(self, path: str = ".") -> str:
        """List a folder of the repository; folders end with a slash."""
        folder = self._inside(path)
        if not folder.is_dir():
            raise RefusedError(f"`{path}` is no folder")
        names = sorted(entry.name + _suffix(entry) for entry in folder.iterdir() if entry.name not in _HIDDEN)
        shown = names[:MOST_ENTRIES]
        rest = [f"... and {len(names) - len(shown)} more"] if len(names) > len(shown) else []
        return "\n".join(shown + rest) or "(empty)"

    def read_file(self, path: str, first_line: int = 1) -> str:
        """Read a text file from a line on, with line numbers; long files come in portions."""
        text = self._text(self._inside(path))
        if text is None:
            raise RefusedError(f"`{path}` is no text file of at most {LARGEST_FILE} bytes")
        lines = text.splitlines()
        start = max(first_line, 1)
        portion = lines[start - 1 : start - 1 + READ_LINES]
        shown = [f"{start + n}: {line[:LINE_LENGTH]}" for n, line in enumerate(portion)]
        left = len(lines) - (start - 1 + len(portion))
        if left > 0:
            shown.append(f"... {left} more lines, from line {start + len(portion)}")
        return "\n".join(shown) or "(nothing there)"

    def search(self, text: str, folder: str = ".") -> str:
        """Find lines that contain this text (upper and lower case are the same), as path:line: content."""
        if not text.strip():
            raise RefusedError("say what to search")
        pattern = re.compile(re.escape(text), re.IGNORECASE)
        hits: list[str] = []
        for file in self._files(self._inside(folder)):
            name = file.relative_to(self._root).as_posix()
            for number, line in enumerate((self._text(file) or "").splitlines(), 1):
                if pattern.search(line):
                    hits.append(f"{name}:{number}: {line.strip()[:LINE_LENGTH]}")
                    if len(hits) >= MOST_HITS:
                        return "\n".join([*hits, "... there are more; search for something rarer"])
        return "\n".join(hits) or "(no line contains that)"

    def _inside(self, path: str) -> Path:
        """Find a path in the folder; what leads out of it, or through a link, is refused."""
        # Split by hand: a path that begins with two slashes has a root of its own in POSIX, and pathlib keeps it.
        parts = [part for part in path.strip().split("/") if part not in {"", "."}]
        if ".." in parts or _HIDDEN & set(parts) or "\0" in path:
            raise RefusedError(f"`{path}` is outside the repository")
        found = self._root
        try:
            for part in parts:
                found = found / part
                if found.is_symlink():
                    raise RefusedError(f"`{path}` leads through a link, which is not followed")
            there = found.exists()
        except OSError:  # a name that no file can have, such as a whole text in its place
            there = False
        if not there:
            raise RefusedError(f"`{path[:LINE_LENGTH]}` does not exist")
        return found

    def _files(self, start: Path) -> Iterator[Path]:
        if start.is_file():
            yield start
            return
        seen = 0
        for folder, names, files in os.walk(start):
            names[:] = sorted(name for name in names if name not in _HIDDEN)
            for name in sorted(files):
                seen += 1
                if seen > MOST_FILES:
                    return
                yield Path(folder, name)

    @staticmethod
    def _text(file: Path) -> str | None:
        try:
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            shape = os.fstat(handle)
            if not stat.S_ISREG(shape.st_mode) or shape.st_size > LARGEST_FILE:
                return None
            data = os.read(handle, LARGEST_FILE)
        finally:
            os.close(handle)
        return None if b"\0" in data[:8000] else data.decode("utf-8", "replace")


def _suffix(entry: Path) -> str:
    if entry.is_symlink():
        return " (link)"
    return "/" if entry.is_dir() else ""
