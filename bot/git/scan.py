"""Owns the look at a folder that an agent wrote, with lstat only, before git or anybody else reads it."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot import files
from bot.core.values import TreeFile

# What tools leave behind: taken in only where the base has something of that name.
CACHE_FOLDERS = frozenset(
    {
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".venv",
        ".eggs",
        ".coverage",
        ".gradle",
        "node_modules",
    }
)
CACHE_PATTERNS = ("*.pyc", "*.pyo", "*.egg-info/", ".coverage", ".coverage.*", ".DS_Store", "*.swp")
_REDIRECTS = (".gitmodules", ".lfsconfig")
_GIT_READS = frozenset({".gitattributes", ".gitignore", ".gitmodules"})
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_MAX_ENTRIES = 200_000


@dataclass(frozen=True, slots=True)
class Base:
    """What is in the commit that the agent started from."""

    blobs: Mapping[str, TreeFile]
    folders: frozenset[str]
    submodules: Collection[str]
    links: Mapping[str, str]  # path of a symlink -> where it points

    @classmethod
    def of(cls, blobs: Collection[TreeFile], submodules: Collection[str], links: Mapping[str, str]) -> Base:
        folders = set()
        for path in [blob.path for blob in blobs] + [f"{name}/" for name in submodules]:
            while path := posixpath.dirname(path):
                folders.add(path)
        return cls({blob.path: blob for blob in blobs}, frozenset(folders), submodules, links)

    def knows(self, path: str) -> bool:
        return path in self.blobs or path in self.folders


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be taken in; `always` where an ignore rule does not excuse it."""

    path: str
    problem: str
    always: bool = False

    def __str__(self) -> str:
        return f"`{printable(self.path)}`: {self.problem}"


@dataclass(frozen=True, slots=True)
class Scan:
    paths: tuple[str, ...]  # regular files and symlinks
    findings: tuple[Finding, ...]


def scan(root: Path, base: Base, max_bytes: int) -> Scan:
    """Walk the folder without following a symlink; caches that the base does not have are left out."""
    walk = _Walk(root, base, max_bytes)
    walk.folder("")
    walk.redirects()
    return Scan(tuple(sorted(walk.paths)), tuple(walk.findings))


def printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode()


class _Walk:
    def __init__(self, root: Path, base: Base, max_bytes: int) -> None:
        self.root = root
        self.base = base
        self.max_bytes = max_bytes
        self.paths: list[str] = []
        self.findings: list[Finding] = []
        self._seen: dict[str, str] = {}
        self._entries = 0

    def note(self, path: str, problem: str) -> None:
        self.findings.append(Finding(path, problem, posixpath.basename(path) in _GIT_READS))

    def folder(self, where: str) -> None:
        pending = [where]
        while pending:
            at = pending.pop()
            try:
                with os.scandir(self.root / at) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self.note(at, f"the folder cannot be read ({error.strerror})")
                continue
            self._entries += len(entries)
            if self._entries > _MAX_ENTRIES:
                self.findings.append(Finding(at, f"more than {_MAX_ENTRIES} files", always=True))
                return
            self._bare_repository(at, {entry.name for entry in entries})
            pending += [path for entry in entries if (path := self._entry(at, entry))]

    def _entry(self, at: str, entry: os.DirEntry[str]) -> str | None:
        """Judge one entry; give its path where it is a folder to go into."""
        path = f"{at}/{entry.name}" if at else entry.name
        if path == ".git":
            self._pointer(entry)
            return None
        found = entry.stat(follow_symlinks=False)
        if not self.base.knows(path):
            if entry.name in CACHE_FOLDERS:
                return None
            self._name(path, entry.name)
        self._case(path)
        if stat.S_ISDIR(found.st_mode):
            return None if path in self.base.submodules else path
        if stat.S_ISLNK(found.st_mode):
            self._link(path)
        elif not stat.S_ISREG(found.st_mode):
            self.note(path, "neither a file nor a folder nor a symlink")
            return None
        elif found.st_size > self._allowed_bytes(path):
            self.note(path, f"{found.st_size} bytes, more than the {self.max_bytes} that are allowed")
        self.paths.append(path)
        return None

    def _pointer(self, entry: os.DirEntry[str]) -> None:
        if not entry.is_file(follow_symlinks=False):
            self.findings.append(Finding(".git", "it was replaced", always=True))

    def _allowed_bytes(self, path: str) -> int:
        known = self.base.blobs.get(path)
        return max(self.max_bytes, known.size if known else 0)

    def _name(self, path: str, name: str) -> None:
        plain = _INVISIBLE.sub("", name.casefold().rstrip(". "))
        if plain in {".git", "git~1"} or plain.startswith(".git::"):
            self.note(path, "a repository inside the repository, or a name that passes for one")
        elif any(ord(char) < 32 or ord(char) == 127 for char in name) or _surrogates(name):
            self.note(path, "control characters or bytes that are no UTF-8 in the name")

    def _case(self, path: str) -> None:
        other = self._seen.setdefault(path.casefold(), path)
        if other != path and not (self.base.knows(path) and self.base.knows(other)):
            self.note(path, f"differs from `{printable(other)}` only in case")

    def _link(self, path: str) -> None:
        target = os.readlink(self.root / path)  # noqa: PTH115 - the text as it is, never normalized
        if self.base.links.get(path) == target:
            return
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if posixpath.isabs(target) or there.split("/")[0] in {"..", ".git"}:
            self.note(path, "a symlink that leaves the repository")

    def _bare_repository(self, at: str, names: set[str]) -> None:
        if at and {"HEAD", "objects", "refs"} <= names and f"{at}/HEAD" not in self.base.blobs:
            self.note(at, "a bare repository inside the repository")

    def redirects(self) -> None:
        """Refuse a change of the files that send git elsewhere."""
        for name in _REDIRECTS:
            data = files.read_beneath(self.root, name, self.max_bytes)
            known = self.base.blobs.get(name)
            if (known.sha if known else None) != (_blob_sha(data) if data is not None else None):
                self.findings.append(Finding(name, "it sends git elsewhere, so only people change it", True))


def _blob_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _surrogates(name: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in name)
